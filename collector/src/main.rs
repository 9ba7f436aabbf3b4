//! `rackwatch-collector`: see `rackwatch-collector --help`.

use std::process::ExitCode;

use clap::Parser;
use rackwatch_collector::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
