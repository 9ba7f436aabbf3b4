//! The source over Redfish: each generation of documents, and BMCs that misbehave.

use std::time::Duration;

use proptest::prelude::*;
use rackwatch_agent::source::lanes::Lanes;
use rackwatch_agent::source::redfish::{
    Redfish, environment, members, metrics, sensor, sensors, thermal,
};
use rackwatch_agent::source::targets::{TargetConfig, TargetKind};
use rackwatch_agent::source::{DiscoveredDevice, Source};
use rackwatch_core::device::{Role, Verdict};
use rackwatch_core::units::Celsius;
use rackwatch_runtime::config::Secret;
use rackwatch_testing::RedfishServer;
use serde_json::{Value, json};

use super::{assert_only_placeholder, lines};

/// Returns a service with one chassis with these links.
fn service(chassis: &Value, more: Value, expand: bool) -> Value {
    let mut documents = json!({
        "/redfish/v1/": {
            "Chassis": {"@odata.id": "/redfish/v1/Chassis"},
            "ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": expand}},
        },
        "/redfish/v1/Chassis": {"Members": [{"@odata.id": "/redfish/v1/Chassis/1U"}]},
        "/redfish/v1/Chassis/1U": chassis,
    });
    let (Some(all), Value::Object(more)) = (documents.as_object_mut(), more) else {
        panic!("objects are asked for")
    };
    all.extend(more);
    documents
}

fn sensor_of(id: &str, context: &str, reading: &Value) -> Value {
    json!({
        "@odata.id": format!("/redfish/v1/Chassis/1U/Sensors/{id}"), "Id": id, "Name": format!("{id} Temperature"),
        "ReadingType": "Temperature", "ReadingUnits": "Cel", "Reading": reading, "PhysicalContext": context,
        "ReadingRangeMin": -20, "ReadingRangeMax": 110,
        "Thresholds": {
            "UpperCaution": {"Reading": 42, "DwellTime": "PT5M", "Activation": "Increasing"},
            "UpperCritical": {"Reading": 47, "Activation": "Increasing"},
            "UpperFatal": {"Reading": 55}, "LowerCritical": {"Reading": 3, "Activation": "Disabled"},
        },
    })
}

/// Returns a chassis with sensors one by one, with a fan among them, on two pages.
fn new_tree(expand: bool, metrics: bool) -> Value {
    let base = "/redfish/v1/Chassis/1U";
    let link = |id: &str| json!({"@odata.id": format!("{base}/Sensors/{id}")});
    let mut chassis = json!({"Sensors": {"@odata.id": format!("{base}/Sensors")}});
    let fan = json!({"@odata.id": format!("{base}/Sensors/Fan1"), "Name": "Fan 1",
        "ReadingType": "Rotational", "ReadingUnits": "RPM", "Reading": 4200});
    let mut first = json!({"Members": [link("Inlet"), link("Fan1")]});
    if expand {
        first["Members"] = json!([link("Inlet"), link("Fan1"), link("CPU1"), link("Broken")]);
    } else {
        first["Members@odata.nextLink"] = format!("{base}/Sensors/2").into();
    }
    let mut more = json!({
        format!("{base}/Sensors"): first,
        format!("{base}/Sensors/2"): {"Members": [link("CPU1"), link("Broken")]},
        format!("{base}/Sensors/Inlet"): sensor_of("Inlet", "Intake", &24.5.into()),
        format!("{base}/Sensors/CPU1"): sensor_of("CPU1", "CPU", &"61".into()),
        format!("{base}/Sensors/Broken"): sensor_of("Broken", "Exhaust", &Value::Null),
        format!("{base}/Sensors/Fan1"): fan,
    });
    if metrics {
        chassis["ThermalSubsystem"] = json!({"@odata.id": format!("{base}/ThermalSubsystem")});
        let path = format!("{base}/ThermalSubsystem/ThermalMetrics");
        more[format!("{base}/ThermalSubsystem")] = json!({"ThermalMetrics": {"@odata.id": path}});
        let reading = |id: &str, value: Value| json!({"DataSourceUri": format!("{base}/Sensors/{id}"), "DeviceName": id, "Reading": value});
        more[path] = json!({"TemperatureReadingsCelsius":
            [reading("Inlet", 25.into()), reading("CPU1", 62.into()), reading("Broken", Value::Null)]});
    }
    service(&chassis, more, expand)
}

/// Returns the old document, as boards of 2015 have it.
fn old() -> Value {
    let base = "/redfish/v1/Chassis/1U";
    let entry = |id: &str, name: &str, context: &str, more: Value| {
        let mut entry = json!({"MemberId": id, "Name": name, "PhysicalContext": context,
            "UpperThresholdNonCritical": 38, "UpperThresholdCritical": 42, "LowerThresholdCritical": -7,
            "MinReadingRangeTemp": 0, "MaxReadingRangeTemp": 0});
        let (Some(all), Value::Object(more)) = (entry.as_object_mut(), more) else {
            panic!("objects are asked for")
        };
        all.extend(more);
        entry
    };
    let temperatures = json!([
        entry(
            "0",
            "Inlet Temp",
            "Intake",
            json!({"ReadingCelsius": 23, "Status": {"State": "Enabled", "Health": "OK"}})
        ),
        entry(
            "1",
            "CPU1 Temp",
            "CPU",
            json!({"ReadingCelsius": 97, "Status": {"State": "Enabled", "Health": "Critical"}})
        ),
        entry(
            "2",
            "CPU2 Temp",
            "CPU",
            json!({"ReadingCelsius": 0, "Status": {"State": "Absent"}})
        ),
        entry(
            "3",
            "Exhaust Temp",
            "Exhaust",
            json!({"ReadingCelsius": null, "Status": {"State": "Enabled"}})
        ),
        entry(
            "4",
            "Temp",
            "SystemBoard",
            json!({"ReadingCelsius": "warm"})
        ),
    ]);
    let chassis = json!({"Thermal": {"@odata.id": format!("{base}/Thermal")}});
    let thermal = json!({format!("{base}/Thermal"): {"Temperatures": temperatures}});
    service(&chassis, thermal, false)
}

fn source(server: &RedfishServer, more: &str) -> Redfish {
    let config = target(
        server,
        &format!("ca_file = '{}'\n{more}", server.ca().display()),
    );
    let password = Some(RedfishServer::PASSWORD.to_owned().into());
    open(&config, password)
}

fn open(config: &TargetConfig, password: Option<Secret>) -> Redfish {
    let TargetKind::Redfish(settings) = &config.kind else {
        panic!("another kind: {config:?}")
    };
    Redfish::new(&config.common, settings, password, Lanes::new(4)).unwrap()
}

fn target(server: &RedfishServer, more: &str) -> TargetConfig {
    let (port, user) = (server.port(), RedfishServer::USER);
    let text = format!(
        "name = \"bmc7\"\ntype = \"redfish\"\naddress = \"127.0.0.1\"\nport = {port}\nuser = \"{user}\"\n\
         rack = \"B07\"\n{more}"
    );
    toml::from_str(&text).unwrap()
}

fn count(found: &[DiscoveredDevice], role: Role) -> usize {
    let of_role = found.iter().filter(|f| f.description.role == role);
    of_role.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_are_read_one_by_one_together_or_by_metrics() {
    for (expand, metrics, values) in [
        (false, false, ["24.5", "61"]),
        (true, false, ["24.5", "61"]),
        (false, true, ["25", "62"]),
    ] {
        let server = RedfishServer::start(&new_tree(expand, metrics).to_string()).unwrap();
        let mut source = source(&server, "");
        let found = source.discover().await;
        let roles = [Role::Inlet, Role::Cpu, Role::Exhaust].map(|role| count(&found, role));
        assert_eq!((found.len(), roles), (3, [1, 1, 1]), "{found:?}");
        let inlet = &found
            .iter()
            .find(|f| f.description.role == Role::Inlet)
            .unwrap();
        let known = &inlet.description;
        let degrees = |limit: Option<Celsius>| limit.map(Celsius::degrees);
        assert_eq!(degrees(known.limits.high_warning), Some(42.0));
        assert_eq!(degrees(known.limits.high_critical), Some(47.0));
        assert_eq!(degrees(known.limits.low_critical), None, "it is disabled");
        assert_eq!(known.limits.lasting, Duration::from_mins(5));
        assert_eq!(known.range.map(|range| range.most.degrees()), Some(110.0));
        assert_eq!(
            (&*known.source, known.rack.as_deref()),
            ("redfish", Some("B07"))
        );
        let [inlet, cpu] = values;
        assert_eq!(
            lines(&mut source).await,
            [
                format!("cpu-bmc7-CPU1 {cpu}"),
                "exhaust-bmc7-Broken !no_reading".to_owned(),
                format!("inlet-bmc7-Inlet {inlet}")
            ],
            "expand {expand}, metrics {metrics}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_document_is_read_if_there_is_no_newer_one() {
    let server = RedfishServer::start(&old().to_string()).unwrap();
    for login in ["basic", "session"] {
        let mut source = source(&server, &format!("login = \"{login}\"\n"));
        assert_eq!(source.discover().await.len(), 5);
        assert_eq!(
            lines(&mut source).await,
            [
                "cpu-bmc7-CPU1_Temp_1 97",
                "cpu-bmc7-CPU2_Temp_2 !disabled",
                "exhaust-bmc7-Exhaust_Temp_3 !no_reading",
                "inlet-bmc7-Inlet_Temp_0 23",
                "other-bmc7-Temp_4 !garbled"
            ]
        );
        let verdicts: Vec<_> = source
            .discover()
            .await
            .into_iter()
            .map(|found| found.description.verdict)
            .collect();
        let [ok, critical] = [Verdict::Ok, Verdict::Critical].map(Some);
        assert_eq!(verdicts, [ok, critical, None, None, None]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_trusted_by_authority_fingerprint_or_not_at_all() {
    let server = RedfishServer::start(&old().to_string()).unwrap();
    let fingerprint = server.fingerprint().unwrap();
    let wrong = "00".repeat(32);
    for (more, sensors) in [
        (String::new(), 0),
        (format!("fingerprint = \"{fingerprint}\"\n"), 5),
        (format!("fingerprint = \"{wrong}\"\n"), 0),
        ("insecure = true\n".to_owned(), 5),
    ] {
        let password = Some(RedfishServer::PASSWORD.to_owned().into());
        let config = target(&server, &more);
        let mut source = open(&config, password);
        if sensors == 0 {
            assert_only_placeholder(&mut source).await;
        } else {
            assert_eq!(source.discover().await.len(), sensors, "{more}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misbehaving_bmc_is_a_fault_of_each_sensor() {
    let path = "/redfish/v1/Chassis/1U/Thermal";
    for (bad, fault) in [
        ("hang", "timeout"),
        ("big", "unreachable"),
        ("text", "unreachable"),
    ] {
        let server = RedfishServer::start(&old().to_string()).unwrap();
        let mut source = source(&server, "deadline = \"2s\"\ninterval = \"1ms\"\n");
        assert_eq!(source.discover().await.len(), 5);
        let mut documents = old();
        documents[path] = bad.into();
        server.serve(&documents.to_string()).unwrap();
        let faults = lines(&mut source).await;
        assert_eq!(faults.len(), 5);
        assert!(
            faults
                .iter()
                .all(|text| text.ends_with(&format!("!{fault}"))),
            "{bad}: {faults:?}"
        );
        server.serve(&old().to_string()).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !lines(&mut source)
            .await
            .contains(&"inlet-bmc7-Inlet_Temp_0 23".to_owned())
        {
            assert!(
                std::time::Instant::now() < deadline,
                "it does not come back"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_discovers_nothing_and_is_not_shown() {
    let server = RedfishServer::start(&old().to_string()).unwrap();
    for login in ["basic", "session"] {
        let more = format!(
            "ca_file = '{}'\nlogin = \"{login}\"\n",
            server.ca().display()
        );
        let config = target(&server, &more);
        let password = Some("not-the-password".to_owned().into());
        let mut source = open(&config, password);
        assert_only_placeholder(&mut source).await;
        assert!(!format!("{source:?}").contains("not-the-password"));
    }
}

#[test]
fn only_thresholds_active_in_their_direction_count() {
    let limits = |thresholds: Value| {
        let document = json!({"@odata.id": "/s", "Name": "Inlet", "ReadingType": "Temperature", "Thresholds": thresholds});
        let limits = sensor(&document).unwrap().limits;
        let each = [
            limits.low_critical,
            limits.high_warning,
            limits.high_critical,
        ];
        (each.map(|l| l.map(Celsius::degrees)), limits.lasting)
    };
    let on = json!({
        "LowerCritical": {"Reading": 3, "Activation": "Decreasing", "DwellTime": "PT90S"},
        "UpperCaution": {"Reading": 40, "Activation": "Either"},
        "UpperCritical": {"Reading": 45, "DwellTime": "PT1M0.5S"},
    });
    let all = [Some(3.0), Some(40.0), Some(45.0)];
    assert_eq!(limits(on), (all, Duration::from_secs(90)));
    let off = json!({
        "LowerCritical": {"Reading": 3, "Activation": "Increasing"},
        "UpperCaution": {"Reading": 40, "Activation": "Disabled", "DwellTime": "PT1M"},
        "UpperCritical": {"Reading": 45, "Activation": "Decreasing"},
        "UpperCriticalUser": {"Reading": 44, "DwellTime": "soon"},
    });
    assert_eq!(limits(off), ([None, None, Some(44.0)], Duration::ZERO));
    for (text, seconds) in [
        ("P1D", 86_400),
        ("PT2H", 7_200),
        ("P1DT1S", 86_401),
        ("PT1", 0),
        ("1M", 0),
        ("P1Y", 0),
    ] {
        let one = json!({"UpperCaution": {"Reading": 40, "DwellTime": text}});
        assert_eq!(limits(one).1, Duration::from_secs(seconds), "{text}");
    }
}

#[test]
fn margins_and_rises_are_not_temperatures() {
    let is_sensor = |name: &str, basis: Option<&str>| {
        let document = json!({"@odata.id": "/s", "Name": name, "ReadingType": "Temperature", "ReadingBasis": basis, "Reading": 40});
        sensor(&document).is_some()
    };
    assert!(is_sensor("CPU 1", None));
    assert!(is_sensor("CPU 1", Some("Zero")));
    assert!(!is_sensor("CPU 1", Some("Headroom")));
    assert!(!is_sensor("CPU 1", Some("Delta")));
    assert!(!is_sensor("CPU1 Therm Margin", None));
    let old = json!({"Temperatures": [
        {"Name": "P1 Therm Margin", "ReadingCelsius": -50},
        {"Name": "Inlet Temp", "ReadingCelsius": 22},
    ]});
    let all = thermal("/t", &old);
    let known: Vec<_> = all
        .iter()
        .map(|s| (s.key.as_str(), s.value.clone()))
        .collect();
    let inlet = Celsius::new(22.0).unwrap();
    assert_eq!(known, [("/t#/Temperatures/1", Ok(inlet))]);
}

#[test]
fn documents_of_another_type_have_no_sensors() {
    for text in [
        "null",
        "[]",
        "{}",
        "3",
        r#"{"Temperatures": 3}"#,
        r#"{"Temperatures": [null, 3, "x", []]}"#,
        r#"{"TemperatureReadingsCelsius": {}}"#,
        r#"{"TemperatureCelsius": 3}"#,
        r#"{"ReadingType": "Temperature"}"#,
        r#"{"ReadingUnits": "Cel", "Name": "x"}"#,
    ] {
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(sensor(&document), None, "{text}");
        assert_eq!(metrics("/m", &document), [], "{text}");
        assert_eq!(environment("/e", &document), None, "{text}");
        assert!(
            thermal("/t", &document)
                .iter()
                .all(|sensor| sensor.value.is_err()),
            "{text}"
        );
    }
}

#[test]
fn a_summary_is_used_if_nothing_is_listed() {
    let document = json!({"TemperatureSummaryCelsius": {
        "Intake": {"Reading": 23.4}, "Exhaust": {"Reading": null}, "Internal": 3}});
    let found: Vec<_> = metrics("/m", &document)
        .into_iter()
        .map(|sensor| (sensor.role, sensor.value.is_ok()))
        .collect();
    assert_eq!(found, [(Role::Exhaust, false), (Role::Inlet, true)]);
    let document = json!({"Name": "Env", "TemperatureCelsius": {"Reading": 39}});
    assert!(environment("/e", &document).unwrap().value.is_ok());
}

/// Generates documents with valid words in arbitrary places.
fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "Temperatures",
        "TemperatureReadingsCelsius",
        "TemperatureSummaryCelsius",
        "TemperatureCelsius",
        "Members",
        "ReadingCelsius",
        "Reading",
        "ReadingType",
        "ReadingUnits",
        "Thresholds",
        "UpperCritical",
        "Status",
        "State",
        "PhysicalContext",
        "MemberId",
        "Name",
        "@odata.id",
        "ReadingRangeMin",
        "ReadingRangeMax",
        "DataSourceUri",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "Temperature",
            "Cel",
            "Absent",
            "Intake",
            "24",
            "nan",
            "\u{7}",
            ""
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(words.to_vec()), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_document_holds_no_sensor_is_without_name(document in anything()) {
        let all = thermal("/t", &document)
            .into_iter()
            .chain(metrics("/m", &document))
            .chain(sensors(&document))
            .chain(sensor(&document))
            .chain(environment("/e", &document));
        for sensor in all {
            prop_assert!(!sensor.name.is_empty() && !sensor.key.is_empty());
        }
        prop_assert!(members(&document).0.len() <= 1_000);
    }
}
