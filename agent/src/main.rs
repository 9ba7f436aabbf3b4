//! The `rackwatch-agent` program. All it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rackwatch_agent::command::main()
}
