//! `access`: users of the dashboard and their tokens.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::common::{Common, Failure, Outcome, usage};
use super::output::print;
use crate::web::names::new_user;

/// Manage who can use the dashboard and its API
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
    rackwatch-collector access add ann --operator --file /etc/rackwatch/access")]
pub(super) struct AccessArgs {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum AccessCommand {
    Add(AddArgs),
}

/// Add a user: print a new token once, and append its digest to the access file
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
    rackwatch-collector access add grafana --file /etc/rackwatch/access")]
struct AddArgs {
    #[command(flatten)]
    common: Common,
    /// Name shown with silences and acknowledgements: letters, digits, `. _ @ -`
    name: String,
    /// Allow acknowledging, silencing and planning maintenance
    #[arg(long)]
    operator: bool,
    /// Access file [default: `web.access_file` of the configuration]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Adds a user to the access file.
pub(super) fn run(args: AccessArgs) -> Outcome {
    let AccessCommand::Add(args) = args.command;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if args.name.is_empty() || args.name.len() > 64 || !args.name.chars().all(allowed) {
        return Err(usage(anyhow::anyhow!(
            "invalid name {:?}: use 1 to 64 letters, digits, `.`, `_`, `@` or `-`",
            args.name
        )));
    }
    let configured = args.common.load()?.web.access_file;
    let Some(path) = args.file.or(configured) else {
        return Err(usage(anyhow::anyhow!(
            "no access file: pass --file, or set web.access_file in the configuration"
        )));
    };
    let (token, line) = new_user(&args.name, args.operator).map_err(|_| {
        Failure::Failed(anyhow::anyhow!(
            "cannot make a token: the system has no source of random numbers"
        ))
    })?;
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|error| {
        Failure::Failed(anyhow::anyhow!("cannot write {}: {error}", path.display()))
    })?;
    let access = if args.operator {
        "operator"
    } else {
        "read-only"
    };
    print(&format!(
        "{token}\n\nAdded {} with {access} access. The token is shown only once. Use it as the password in the browser's \
         prompt (with any user name), or as a bearer token. Running collectors accept it within seconds.\n",
        args.name
    ));
    Ok(())
}
