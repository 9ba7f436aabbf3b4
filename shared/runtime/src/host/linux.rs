//! The machine id and the boot id of Linux, hashed as `sd_id128_get_machine_app_specific` hashes them.
//!
//! machine-id(5) asks programs not to publish the machine id itself.

use std::path::Path;

use ring::hmac;

/// Our id as an application. A new one would make all machines look like others.
const APPLICATION: u128 = 0x41e1_7d4e_2cb2_40f7_a649_013c_7727_acfb;
/// The files with the machine id; older systems have only the second.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// The file with the boot id.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Reads the id of the machine.
pub(super) fn machine() -> Option<String> {
    MACHINE_ID.iter().find_map(|file| read(Path::new(file)))
}

/// Reads the id of the present boot.
pub(super) fn boot() -> Option<String> {
    read(Path::new(BOOT_ID))
}

/// Returns the hash of the id in `file`; none if there is none, such as in an image that was never started.
fn read(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let is_id = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    let id = u128::from_str_radix(&digits, 16).ok()?;
    (is_id && id != 0).then(|| format!("{:032x}", hashed(id, APPLICATION)))
}

/// Returns the id that `application` uses instead of `id`: a UUID of version 4.
fn hashed(id: u128, application: u128) -> u128 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &id.to_be_bytes());
    let tag = hmac::sign(&key, &application.to_be_bytes());
    let start = tag.as_ref().iter().take(16);
    let hash = start.fold(0, |hash: u128, byte| hash << 8 | u128::from(*byte));
    let (version, variant) = (0xf << 76, 0x3 << 62);
    hash & !version & !variant | 0x4 << 76 | 0x2 << 62
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hashed_as_systemd_hashes_them() {
        // `systemd-id128 machine-id --app-specific=5a1f0c2e9b7d4c3fa86e21d0c7b94e13`
        let hash = hashed(
            0x3d12_19c7_c4c5_404a_aa1f_6d2a_48ad_fda4,
            0x5a1f_0c2e_9b7d_4c3f_a86e_21d0_c7b9_4e13,
        );
        assert_eq!(format!("{hash:032x}"), "f656475a54af4bf784fbc4a7e5d489e5");
    }

    #[test]
    fn only_an_id_is_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let of_text = |text: &str| {
            let file = dir.path().join("id");
            std::fs::write(&file, text).unwrap();
            read(&file)
        };
        let plain = of_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n");
        assert_eq!(plain, of_text("3d1219c7-c4c5-404a-aa1f-6d2a48adfda4\n"));
        assert_ne!(plain.as_deref(), Some("3d1219c7c4c5404aaa1f6d2a48adfda4"));
        assert!(plain.is_some());
        for none in [
            "",
            "uninitialized\n",
            "00000000000000000000000000000000",
            "+d1219c7c4c5404aaa1f6d2a48adfda4",
        ] {
            assert_eq!(of_text(none), None, "{none:?}");
        }
        assert_eq!(read(&dir.path().join("absent")), None);
    }
}
