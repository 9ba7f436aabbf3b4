//! Commands of the built program, each test with its own Redis.

use std::time::Duration;

use rackwatch_testing::{Program, RedisServer};
use serde_json::Value;

mod alerts;
mod drill;
mod errors;
mod history;
mod others;
mod replay;
mod status;

const DEADLINE: Duration = Duration::from_secs(30);

const DEVICE: &str = "inlet-B07-1";

/// Exit code and output of a command.
struct CommandOutput {
    code: Option<i32>,
    out: String,
    err: String,
}

fn spawn(url: &str, args: &[&str]) -> Program {
    let env = [("RACKWATCH_REDIS_URL", url), ("TZ", "UTC")];
    Program::spawn(env!("CARGO_BIN_EXE_rackwatch-collector"), args, &env).unwrap()
}

fn run(url: &str, args: &[&str]) -> CommandOutput {
    let mut program = spawn(url, args);
    let code = program.wait_exit(DEADLINE).unwrap().code();
    CommandOutput {
        code,
        out: program.stdout(),
        err: program.stderr(),
    }
}

fn json(ended: &CommandOutput) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}{}", ended.out, ended.err))
}

fn server() -> (RedisServer, redis::Connection, String) {
    let server = RedisServer::start().unwrap();
    let connection = server.client().get_connection().unwrap();
    let url = server.url();
    (server, connection, url)
}

fn now() -> u64 {
    rackwatch_runtime::clock::now().millis()
}
