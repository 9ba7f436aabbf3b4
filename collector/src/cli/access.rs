//! `access`: who may look at the dashboard, and who may act.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, Failure, Outcome, print, usage};
use crate::web::names::new_user;

/// Say who may look at the dashboard, and who may act there
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
    rackwatch-collector access add ann --act --file /etc/rackwatch/access")]
pub struct AccessArgs {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum AccessCommand {
    Add(AddArgs),
}

/// Let somebody in: prints a token, once, and adds a line with its digest to the file
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
    rackwatch-collector access add grafana --file /etc/rackwatch/access")]
struct AddArgs {
    #[command(flatten)]
    common: Common,
    /// Who, as silences and acknowledgements name them: letters, digits, `. _ @ -`
    name: String,
    /// They may also acknowledge, silence and plan
    #[arg(long)]
    act: bool,
    /// The file [default: that of the configuration]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Does what was asked.
pub fn run(args: AccessArgs) -> Outcome {
    let AccessCommand::Add(args) = args.command;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if args.name.is_empty() || args.name.len() > 64 || !args.name.chars().all(plain) {
        return Err(usage(anyhow::anyhow!(
            "{:?} is no name of 1 to 64 letters, digits, . _ @ -",
            args.name
        )));
    }
    let configured = args.common.load().map_err(usage)?.web.access_file;
    let Some(path) = args.file.or(configured) else {
        return Err(usage(anyhow::anyhow!(
            "name a --file, or web.access_file in the configuration"
        )));
    };
    let (token, line) = new_user(&args.name, args.act);
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|error| {
        Failure::Failed(anyhow::anyhow!("cannot write {}: {error}", path.display()))
    })?;
    let right = if args.act { "look and act" } else { "look" };
    print(&format!(
        "{token}\n\n{} may {right} with this token, which is shown this once: as the password of the browser's prompt (with \
         any name), or as a bearer token. It holds when the collector is started again.\n",
        args.name
    ));
    Ok(())
}
