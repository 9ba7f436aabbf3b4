//! Which documents of a BMC to read, and the sensors in them.
//!
//! As few documents as possible are read at each tick: one with all values if there is one, else
//! one for each sensor.

use serde_json::Value;

use super::client::{Client, RequestError};
use super::document::{
    self, Sensor, environment, expands, members, metrics, sensor, sensors, thermal,
};

/// Most chassis of one BMC: blade enclosures have some dozens.
const MAX_CHASSIS: usize = 64;
/// Most sensors that are read one by one: each costs a request at every tick.
const MAX_SENSORS: usize = 300;
/// Most pages of a collection.
const MAX_PAGES: usize = 20;
/// Root of every service.
const ROOT: &str = "/redfish/v1/";

/// A document to read at each tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// `ThermalMetrics`: the values of all sensors of a chassis.
    Metrics(String),
    /// One document of type `Sensor`.
    Sensor(String),
    /// A collection of sensors with its members.
    Sensors(String),
    /// The old `Thermal`: all sensors of a chassis.
    Thermal(String),
    /// `EnvironmentMetrics`: the temperature of a chassis.
    Environment(String),
}

impl Document {
    /// Returns the path, with a query if it needs one.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Metrics(path)
            | Self::Sensor(path)
            | Self::Sensors(path)
            | Self::Thermal(path)
            | Self::Environment(path) => path,
        }
    }

    /// Returns the sensors in the document's content.
    pub(super) fn sensors(&self, content: &Value) -> Vec<Sensor> {
        match self {
            Self::Metrics(path) => metrics(path, content),
            Self::Sensor(_) => sensor(content).into_iter().collect(),
            Self::Sensors(_) => sensors(content),
            Self::Thermal(path) => thermal(path, content),
            Self::Environment(path) => environment(path, content).into_iter().collect(),
        }
    }
}

/// Documents to read, and the sensors in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    pub(super) documents: Vec<Document>,
    pub(super) sensors: Vec<Sensor>,
}

impl Inventory {
    fn single(document: Document, sensors: Vec<Sensor>) -> Self {
        Self {
            documents: vec![document],
            sensors,
        }
    }
}

/// Discovers the documents and sensors of all chassis.
pub(super) async fn discover(client: &mut Client) -> Result<Inventory, RequestError> {
    let root = client.get(ROOT).await?;
    let can_expand = expands(&root);
    let mut chassis = Vec::new();
    if let Some(collection) = document::linked(&root, "Chassis") {
        chassis = all_members(client, &collection).await?;
    }
    chassis.truncate(MAX_CHASSIS);
    let mut all = Inventory::default();
    for path in chassis {
        let chassis = client.get(&path).await?;
        let of_chassis = discover_chassis(client, &chassis, can_expand).await?;
        all.documents.extend(of_chassis.documents);
        all.sensors.extend(of_chassis.sensors);
    }
    Ok(all)
}

async fn discover_chassis(
    client: &mut Client,
    chassis: &Value,
    can_expand: bool,
) -> Result<Inventory, RequestError> {
    let (metrics_path, values) = thermal_metrics(client, chassis).await?;
    if let Some(collection) = document::linked(chassis, "Sensors") {
        let found = discover_sensors(client, &collection, can_expand).await?;
        // One document with all values is better than one for each sensor.
        let has_value = |sensor: &Sensor| values.iter().any(|value| value.key == sensor.key);
        if let Some(path) = &metrics_path
            && found.documents.len() > 1
            && !found.sensors.is_empty()
            && found.sensors.iter().all(has_value)
        {
            return Ok(Inventory::single(
                Document::Metrics(path.clone()),
                found.sensors,
            ));
        }
        if !found.sensors.is_empty() {
            return Ok(found);
        }
    }
    if let Some(path) = metrics_path
        && !values.is_empty()
    {
        return Ok(Inventory::single(Document::Metrics(path), values));
    }
    for (name, of) in [
        ("Thermal", Document::Thermal as fn(String) -> Document),
        ("EnvironmentMetrics", Document::Environment),
    ] {
        let Some(path) = document::linked(chassis, name) else {
            continue;
        };
        if let Some(content) = optional(client, &path).await? {
            let document = of(path);
            let found = document.sensors(&content);
            if !found.is_empty() {
                return Ok(Inventory::single(document, found));
            }
        }
    }
    Ok(Inventory::default())
}

/// Returns the path of a chassis' `ThermalMetrics` and the values in it.
async fn thermal_metrics(
    client: &mut Client,
    chassis: &Value,
) -> Result<(Option<String>, Vec<Sensor>), RequestError> {
    let Some(subsystem) = document::linked(chassis, "ThermalSubsystem") else {
        return Ok((None, Vec::new()));
    };
    let subsystem = optional(client, &subsystem).await?;
    let path = subsystem.and_then(|content| document::linked(&content, "ThermalMetrics"));
    let mut values = Vec::new();
    if let Some(path) = &path
        && let Some(content) = optional(client, path).await?
    {
        values = metrics(path, &content);
    }
    Ok((path, values))
}

/// Discovers the temperatures of a collection, which is read as a whole if the service can.
async fn discover_sensors(
    client: &mut Client,
    collection: &str,
    can_expand: bool,
) -> Result<Inventory, RequestError> {
    if can_expand {
        let whole = Document::Sensors(format!("{collection}?$expand=."));
        // Some services announce this and lack it.
        if let Some(content) = optional(client, whole.path()).await? {
            let found = whole.sensors(&content);
            let is_complete = members(&content).1.is_none();
            if !found.is_empty() && is_complete {
                return Ok(Inventory::single(whole, found));
            }
        }
    }
    let mut all = Inventory::default();
    for path in all_members(client, collection).await? {
        if all.documents.len() >= MAX_SENSORS {
            break;
        }
        let Some(content) = optional(client, &path).await? else {
            continue;
        };
        if let Some(sensor) = sensor(&content) {
            all.sensors.push(sensor);
            all.documents.push(Document::Sensor(path));
        }
    }
    Ok(all)
}

/// Returns the members of a collection on all its pages.
async fn all_members(client: &mut Client, collection: &str) -> Result<Vec<String>, RequestError> {
    let (mut all, mut next) = (Vec::new(), Some(collection.to_owned()));
    for _ in 0..MAX_PAGES {
        let Some(path) = next else { break };
        let (page, more) = members(&client.get(&path).await?);
        all.extend(page);
        next = more;
    }
    Ok(all)
}

/// Reads a document that may be absent, or forbidden for this user.
async fn optional(client: &mut Client, path: &str) -> Result<Option<Value>, RequestError> {
    match client.get(path).await {
        Ok(content) => Ok(Some(content)),
        Err(
            RequestError::Missing { .. }
            | RequestError::Forbidden { .. }
            | RequestError::Status { .. }
            | RequestError::NotJson { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}
