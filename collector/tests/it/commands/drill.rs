//! `drill`: a short form of `ci/drill`.

use serde_json::Value;
use tempfile::TempDir;

use crate::rig::{DEADLINE, collector};

fn drill(args: &[&str]) -> (i32, Vec<Value>, String) {
    let mut all = vec!["drill", "--json"];
    all.extend(args);
    let mut program = collector(&all);
    let code = program.wait_exit(DEADLINE * 4).unwrap().code().unwrap();
    let documents = program.stdout();
    let documents = documents
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (code, documents.collect(), program.stderr())
}

#[test]
fn failures_are_detected_in_time() {
    let shipped = [
        "cooling loss",
        "cooler trip",
        "fan failure",
        "blocked tile",
        "spike",
        "step of a sensor",
        "stuck",
        "dropout",
        "BMC hang",
    ];
    let mut args = shipped.to_vec();
    args.extend(["--seeds", "6"]);
    let (code, documents, err) = drill(&args);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        documents.len(),
        shipped.len() + 8,
        "there are nine drills of cooling loss"
    );
    for document in documents {
        assert_eq!(document["faults"], 6, "{document}");
        assert_eq!(document["found"], 6, "{document}");
        assert_eq!(document["false_alarms"], 0, "{document}");
        let name = document["drill"].as_str().unwrap();
        if name.starts_with("cooling loss") && !name.contains("30 s") {
            assert!(document["p95_ms"].as_u64().unwrap() <= 90_000, "{document}");
        }
    }
}

#[test]
fn a_normal_day_has_no_false_alarms() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("day.toml");
    let text = "[[drill]]\nname = 'a day'\nracks = 6\nsensors = 30\ninterval = '10s'\nresolution = 1.0\n\
        settle = '0s'\nwatch = '1d'\nnormal = { door = 8.0, reboot = 2.0, load-step = 6.0 }\n";
    std::fs::write(&file, text).unwrap();
    let (code, documents, err) = drill(&[file.to_str().unwrap(), "--seeds", "2"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(documents[0]["false_alarms"], 0, "{}", documents[0]);
    assert!(documents[0]["sensor_weeks"].as_f64().unwrap() > 8.0);
}

#[test]
fn unknown_drills_and_faults_are_errors() {
    let (code, _, err) = drill(&["earthquake"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("earthquake is neither a built-in drill"),
        "{err}"
    );
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("odd.toml");
    std::fs::write(&file, "[[drill]]\nname = 'x'\ninterval = '1s'\nsettle = '1m'\nwatch = '1m'\nfault = 'flood'\nexpect = ['spike']\n").unwrap();
    let (code, _, err) = drill(&[file.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(
        err.contains("flood") && err.contains("cooler-trip"),
        "{err}"
    );
}
