//! Printing errors together with their causes.

use std::error::Error;

/// Returns the error and all its causes in one line, outermost first, separated by colons.
///
/// For log fields and reports: an outer error such as "error sending request" rarely names the
/// cause. A cause that the text before it already has, as in some libraries, is not repeated.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read spool.path")]
    struct Outer {
        source: std::io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("permanent error: {source}")]
    struct Wordy {
        source: std::io::Error,
    }

    #[test]
    fn chain_lists_every_cause_once() {
        let source = std::io::Error::other("disk on fire");
        assert_eq!(
            chain(&Outer { source }),
            "cannot read spool.path: disk on fire"
        );
        let source = std::io::Error::other("mailbox full");
        assert_eq!(chain(&Wordy { source }), "permanent error: mailbox full");
        let source = std::io::Error::other("cannot read spool.path");
        assert_eq!(chain(&Outer { source }), "cannot read spool.path");
    }
}
