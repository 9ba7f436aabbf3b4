//! Reads sysfs attributes: small text files that the kernel generates when they are read.
//!
//! In: paths. Out: text, numbers, or the fault that the kernel's error means. Nothing is lost:
//! unexpected content is a fault. Everything here blocks: some chips for milliseconds, broken ones
//! forever.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;

use super::super::component::plausible;

/// Longest number in bytes: 64 bits need 21 at most.
const LONGEST_NUMBER: u64 = 64;

/// Longest name in bytes: the World Wide Name of a SCSI drive may have 80.
const LONGEST_NAME: u64 = 256;

/// Reads an attribute that holds a number, without surrounding white space. More than 64 bytes are
/// an error.
pub(super) fn text(path: &Path) -> io::Result<String> {
    bounded(path, LONGEST_NUMBER)
}

fn bounded(path: &Path, longest: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(longest + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(text.trim().to_owned())
}

/// Reads a name; `None` if the attribute is absent or empty.
pub(super) fn name(path: &Path) -> Option<String> {
    let text = bounded(path, LONGEST_NAME).ok()?;
    (!text.is_empty()).then_some(text)
}

/// Reads a limit in millidegrees; `None` if it is absent or not a temperature.
pub(super) fn limit(path: &Path) -> Option<Celsius> {
    let millidegrees: i64 = text(path).ok()?.parse().ok()?;
    Celsius::new(millidegrees as f64 / 1_000.0).ok()
}

/// Reads a temperature in millidegrees.
pub(super) fn temperature(path: &Path) -> Result<Celsius, Fault> {
    with_retry(|| read_once(path))
}

/// Repeats a read with a garbled or implausible result: a register read while the chip was busy is
/// right the next time.
fn with_retry(mut read: impl FnMut() -> Result<Celsius, Fault>) -> Result<Celsius, Fault> {
    match read() {
        Err(fault) if fault == Fault::OUT_OF_RANGE || fault == Fault::GARBLED => read(),
        result => result,
    }
}

fn read_once(path: &Path) -> Result<Celsius, Fault> {
    let text = text(path).map_err(|error| fault(&error))?;
    plausible(text.parse().map_err(|_| Fault::GARBLED)?)
}

/// Returns the fault that an error means. The numbers are those of Linux on every architecture with
/// hwmon (`asm-generic/errno-base.h`, `errno.h`; MIPS and SPARC differ in the last two).
fn fault(error: &io::Error) -> Fault {
    const ENOENT: i32 = 2;
    const ENXIO: i32 = 6;
    const ENODEV: i32 = 19;
    const ENODATA: i32 = 61;
    const ETIMEDOUT: i32 = 110;
    match error.raw_os_error() {
        Some(ENOENT | ENXIO | ENODEV) => Fault::VANISHED,
        Some(ENODATA) => Fault::DISABLED,
        Some(ETIMEDOUT) => Fault::TIMEOUT,
        None if error.kind() == io::ErrorKind::InvalidData => Fault::GARBLED,
        // EIO, EAGAIN and others: the bus failed this time.
        _ => Fault::IO_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_kernel_become_faults() {
        for (number, expected) in [
            (2, Fault::VANISHED),
            (6, Fault::VANISHED),
            (61, Fault::DISABLED),
            (11, Fault::IO_ERROR),
            (5, Fault::IO_ERROR),
            (13, Fault::IO_ERROR),
        ] {
            assert_eq!(fault(&io::Error::from_raw_os_error(number)), expected);
        }
    }

    #[test]
    fn only_implausible_results_are_read_again() {
        let count = |first: Result<Celsius, Fault>| {
            let mut left = vec![Err(Fault::IO_ERROR), plausible(41_000), first];
            let result = with_retry(|| left.pop().unwrap());
            (3 - left.len(), result)
        };
        assert_eq!(count(plausible(127_500)), (2, plausible(41_000)));
        assert_eq!(count(Err(Fault::GARBLED)), (2, plausible(41_000)));
        assert_eq!(count(Err(Fault::IO_ERROR)), (1, Err(Fault::IO_ERROR)));
        assert_eq!(count(plausible(20_000)), (1, plausible(20_000)));
    }

    #[test]
    fn only_short_whole_numbers_are_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("temp1_input");
        for (content, expected) in [
            ("41500\n", Ok(Celsius::new(41.5).unwrap())),
            ("", Err(Fault::GARBLED)),
            ("garbage\n", Err(Fault::GARBLED)),
            ("41.5\n", Err(Fault::GARBLED)),
            ("99999999999999999999\n", Err(Fault::GARBLED)),
            ("127500\n", Err(Fault::OUT_OF_RANGE)),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(temperature(&path), expected, "{content:?}");
        }
        std::fs::write(&path, "1".repeat(10_000)).unwrap();
        assert_eq!(temperature(&path), Err(Fault::GARBLED));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(temperature(&path), Err(Fault::GARBLED));
        assert_eq!(temperature(Path::new("/nonexistent")), Err(Fault::VANISHED));
    }
}
