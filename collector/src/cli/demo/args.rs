//! Flags of `demo`, and the configurations they stand for.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use rackwatch_agent::config::{AgentConfig, SourcesConfig};
use rackwatch_agent::source::simulated::SimulatedConfig;
use rackwatch_runtime::config::RedisUrl;

use crate::config::WebConfig;

/// Run the whole pipeline on simulated racks, without installing anything else
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  rackwatch-collector demo --for 60s\n  \
    rackwatch-collector demo --redis redis://127.0.0.1:6379")]
pub(in super::super) struct DemoArgs {
    /// Use this Redis instead of memory
    #[arg(long, value_name = "URL")]
    pub(super) redis: Option<RedisUrl>,
    /// Stop after this duration, such as 40s or 5m [default: run until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) length: Option<Duration>,
    /// Address of the dashboard; if the port is taken, the next free one is used
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Serve the dashboard without authentication even on an address that other hosts can reach
    #[arg(long)]
    pub(super) allow_unauthenticated: bool,
    /// Number of simulated racks
    #[arg(long, default_value_t = 2)]
    pub(super) racks: usize,
    /// Number of sensors in all racks together
    #[arg(long, default_value_t = 8)]
    pub(super) sensors: usize,
    /// Seed of the simulation
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Faults to simulate: demo, quiet, or a list such as cooler-trip:R1@30s/5m
    #[arg(long, value_name = "SPEC", default_value = "demo")]
    pub(super) scenario: String,
}

impl DemoArgs {
    /// Returns the configuration of an agent whose only source is the simulation.
    pub(super) fn agent_config(&self) -> AgentConfig {
        let simulated = SimulatedConfig {
            enabled: true,
            racks: self.racks,
            sensors: self.sensors,
            seed: self.seed,
            scenario: self.scenario.clone(),
            ..SimulatedConfig::default()
        };
        AgentConfig {
            sources: SourcesConfig {
                simulated,
                ..SourcesConfig::none()
            },
            ..AgentConfig::default()
        }
    }

    /// Returns the web configuration: without authentication on this machine, and beyond it only if requested.
    pub(super) fn web_config(&self, address: SocketAddr) -> WebConfig {
        WebConfig {
            listen: address,
            allow_unauthenticated: self.allow_unauthenticated,
            ..WebConfig::default()
        }
    }
}
