//! Helpers that all tests share: private servers, built programs and waiting.
//!
//! Everything started here listens on 127.0.0.1 or in a temporary directory and dies with the
//! value that started it, so tests may run side by side. Nothing is kept: a server's data is gone
//! when it stops.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that cannot do its part has to fail the test, loudly"
)]

mod accept;
mod alertmanager;
mod certificates;
mod fault_proxy;
mod golden;
mod help;
mod http;
mod ipmi_bmc;
mod nginx;
mod process;
mod program;
mod redfish_server;
mod redis_cluster;
mod redis_sentinel;
mod redis_server;
mod secured_redis;
mod smtp_receiver;
mod snmp_agent;
mod timeseries_server;
mod wait;
mod webhook_receiver;

pub use alertmanager::Alertmanager;
pub use certificates::Certificates;
pub use fault_proxy::FaultProxy;
pub use golden::compare_with_golden;
pub use help::help_pages;
pub use http::{http_get, http_post};
pub use ipmi_bmc::IpmiBmc;
pub use nginx::Nginx;
pub use process::free_port;
pub use program::Program;
pub use redfish_server::RedfishServer;
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;
pub use redis_server::RedisServer;
pub use secured_redis::{SENTINEL_USER, SecuredRedis};
pub use smtp_receiver::SmtpReceiver;
pub use snmp_agent::SnmpAgent;
pub use timeseries_server::TimeSeriesServer;
pub use wait::{wait_until, wait_until_sync};
pub use webhook_receiver::{Answer, Request, WebhookReceiver};
