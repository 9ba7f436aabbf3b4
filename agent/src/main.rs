//! The `rackwatch-agent` program; its code is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rackwatch_agent::command::main()
}
