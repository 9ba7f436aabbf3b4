//! The help of a program and of all its subcommands.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Result, ensure};

/// Returns the output of `--help` of the program and of each of its subcommands, one after the other.
///
/// # Errors
///
/// When the program does not print help.
pub fn help_pages(program: &str) -> Result<String> {
    let mut text = String::new();
    add(program, &mut Vec::new(), &mut text)?;
    Ok(text)
}

fn add(program: &str, path: &mut Vec<String>, text: &mut String) -> Result<()> {
    let output = Command::new(program)
        .args(&*path)
        .arg("--help")
        // Without a terminal this is how wide it is, and these would be shown.
        .env("COLUMNS", "100")
        .env_remove("RACKWATCH_CONFIG")
        .env_remove("RACKWATCH_REDIS_URL")
        .output()?;
    ensure!(output.status.success(), "{path:?} --help fails");
    let help = String::from_utf8(output.stdout)?;
    write!(text, "==== {} --help\n{help}\n", path.join(" "))?;
    for command in subcommands(&help) {
        path.push(command.to_owned());
        add(program, path, text)?;
        path.pop();
    }
    Ok(())
}

/// Returns the first words of the lines below `Commands:`.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| {
        // Lines that go on with a description are indented further.
        let name = line.strip_prefix("  ")?;
        (!name.starts_with(' ')).then(|| name.split(' ').next())?
    });
    names.filter(|name| *name != "help").collect()
}

#[cfg(test)]
mod tests {
    use super::subcommands;

    #[test]
    fn subcommands_are_found() {
        let help = "Does things\n\nCommands:\n  run   Run it\n          and on\n  stop  Stop\n  help  Print\n\nOptions:\n  -h\n";
        assert_eq!(subcommands(help), ["run", "stop"]);
        assert_eq!(subcommands("Options:\n  -h\n"), [""; 0]);
    }
}
