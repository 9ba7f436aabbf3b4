//! A configuration to start from: the discovered sensors as `[[devices]]`.

use std::fmt::Write;

use super::row::SensorRow;
use crate::name::Name;

/// Returns TOML for `agent.toml` that states the present settings, to be changed.
pub(super) fn snippet(agent: &Name, rows: &[SensorRow]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ok = writeln!(
        text,
        "# Sensors that this agent reads. Edit, and save as /etc/rackwatch/agent.toml.\n\
         [agent]\nname = {}\n# rack = \"B07\"",
        quoted(agent.as_str())
    );
    for row in rows {
        let value = match &row.value {
            Ok(value) => format!("{:.1} °C", value.degrees()),
            Err(fault) => fault.to_string(),
        };
        let name: String = row
            .description
            .name
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let _ok = write!(
            text,
            "\n# {name} ({}): {value} now.\n[[devices]]\nmatch = {}\nrole = \"{}\"\n",
            row.description.source,
            quoted(row.device.as_str()),
            row.description.role,
        );
        let _ok = match &row.description.rack {
            Some(rack) => writeln!(text, "rack = {}", quoted(rack)),
            None => writeln!(text, "# rack = \"B07\""),
        };
        let _ok = match row.description.u {
            Some(u) => writeln!(text, "u = {u}"),
            None => writeln!(text, "# u = 12"),
        };
        let _ok = writeln!(text, "{}off = true", if row.off { "" } else { "# " });
    }
    text
}

/// Returns a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rackwatch_core::device::{Description, DeviceId, Role};
    use rackwatch_core::reading::Fault;
    use rackwatch_core::units::Celsius;

    use super::*;
    use crate::config::AgentConfig;

    #[test]
    fn the_snippet_is_a_configuration() {
        let row = |device: &str, value| SensorRow {
            device: DeviceId::new(device).unwrap(),
            description: Description {
                name: "Front\n\"upper\"".into(),
                role: Role::Inlet,
                rack: Some("B\"7".into()),
                ..Description::default()
            },
            off: true,
            value,
            took: Duration::ZERO,
        };
        let rows = [
            row("inlet-a-1", Celsius::new(21.5).map_err(|_| Fault::GARBLED)),
            row("inlet-a-2", Err(Fault::TIMEOUT)),
        ];
        let agent = Name::new("node\"7").unwrap();
        let text = snippet(&agent, &rows);
        let config: AgentConfig = toml::from_str(&text).unwrap();
        assert_eq!(config.agent.name, agent);
        assert_eq!(config.devices.len(), 2);
        let device = &config.devices[0];
        assert_eq!(device.rack.as_deref(), Some("B\"7"));
        assert_eq!((device.role, device.off), (Some(Role::Inlet), Some(true)));
        assert!(
            text.contains("21.5 °C now") && text.contains("timeout now"),
            "{text}"
        );
    }
}
