//! What people do not want to hear of now: silences, and the windows that are open.

use rackwatch_core::incident::silence::Silence;
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;

use super::{Hash, understood};
use crate::incidents::windows::Window;

/// What is stored, and what it comes to.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    silences: Hash,
    windows: Hash,
    /// Both, understood.
    said: Vec<Silence>,
    planned: Vec<Window>,
    now: Vec<Silence>,
}

impl Quiet {
    /// All silences that hold by now, where they are others than the last time.
    pub(super) fn change(
        &mut self,
        silences: Hash,
        windows: Hash,
        now: Timestamp,
    ) -> Option<Vec<Silence>> {
        // What cannot be understood is logged: when it is new, not at each step.
        if silences != self.silences {
            self.said = understood(keys::SILENCES, &silences);
            self.silences = silences;
        }
        if windows != self.windows {
            self.planned = understood(keys::WINDOWS, &windows);
            self.windows = windows;
        }
        let open = self.planned.iter().filter_map(|window| window.silence(now));
        let all: Vec<Silence> = self.said.iter().cloned().chain(open).collect();
        if all == self.now {
            return None;
        }
        self.now.clone_from(&all);
        Some(all)
    }
}
