//! `rules`: the default rules, and the keys of each type of rule.

use clap::Args;
use rackwatch_core::alert::AlertKind;
use rackwatch_core::rules::Profile;

use super::output::print;
use super::table::Table;

/// Print the default rules as TOML
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    rackwatch-collector rules\n  \
    rackwatch-collector rules --profile ashrae-a3\n  \
    rackwatch-collector rules --keys")]
pub(super) struct RulesArgs {
    /// Use the limits of this profile
    #[arg(long, value_name = "PROFILE", default_value = "default", value_parser = profile)]
    profile: Profile,
    /// Print the keys of each type of rule
    #[arg(long, conflicts_with = "profile")]
    keys: bool,
}

fn profile(text: &str) -> Result<Profile, String> {
    let known = Profile::ALL
        .into_iter()
        .find(|profile| profile.name() == text);
    known.ok_or_else(|| {
        format!(
            "expected one of {}",
            Profile::ALL.map(Profile::name).join(", ")
        )
    })
}

/// Prints the rules or the keys.
pub(super) fn run(args: &RulesArgs) {
    if args.keys {
        print(&keys());
    } else {
        print(&args.profile.rules_toml());
    }
}

fn keys() -> String {
    let mut table = Table::new(&["TYPE", "KEY", "EXPECTED", "DEFAULT", ""], usize::MAX);
    let mut row = |kind: &str, key: &str, expected: &str, default: &str, summary: &str| {
        let cells = [kind, key, expected, default, summary];
        table.push(cells.map(str::to_owned).to_vec());
    };
    let (day, patterns) = ("0s to 1d", "a list of patterns");
    row(
        "every",
        "type",
        "a type of this table",
        "",
        "The kind of anomaly. Mandatory.",
    );
    row(
        "every",
        "name",
        "1 to 64 of A-Z a-z 0-9 . _ -",
        "the type",
        "Name in alerts. A rule overrides earlier ones of its name.",
    );
    row(
        "every",
        "role",
        "a list of roles",
        "all",
        "Roles of the devices.",
    );
    row("every", "rack", patterns, "all", "Racks of the devices.");
    row("every", "device", patterns, "all", "Ids of the devices.");
    row(
        "every",
        "for",
        day,
        "\"0s\"",
        "Time that a level must stay crossed before the alert fires.",
    );
    row(
        "every",
        "keep_firing_for",
        day,
        "\"0s\"",
        "Time that all levels must stay clear before the alert resolves.",
    );
    for kind in AlertKind::RULES {
        for key in kind.keys() {
            let default = key.default.unwrap_or_default();
            row(kind.name(), key.name, &key.expected, &default, key.summary);
        }
    }
    table.text()
        + "\nA default holds where no rule sets the key. The default rules set some: see `rackwatch-collector rules`.\n"
}
