//! The plan of a change: what is to become what, and how far it is.
//!
//! It stands in the hash of the partitioning, and is written before anything is moved. So a change that was killed between
//! any two steps is finished by the next.

use rackwatch_core::keys;
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

/// Fields of the hash: the old number, the new one, and the step.
const FIELDS: [&str; 3] = ["aside", "to", "step"];

/// A change under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) from: Partitions,
    pub(super) to: Partitions,
    pub(super) step: Step,
}

/// The step that a change has to do next. Each can be repeated after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Renaming the old keys.
    SetAside,
    /// Filling the new partitions from the renamed keys.
    Redistribute,
    /// Deleting the renamed keys. The new number holds.
    CleanUp,
}

impl Step {
    const ALL: [Self; 3] = [Self::SetAside, Self::Redistribute, Self::CleanUp];

    fn word(self) -> &'static str {
        match self {
            Self::SetAside => "set-aside",
            Self::Redistribute => "redistribute",
            Self::CleanUp => "clean-up",
        }
    }
}

impl Plan {
    /// Reads the plan of a change that was interrupted, if there is one.
    pub(super) async fn read(connection: &mut Connection) -> RedisResult<Option<Self>> {
        let mut read = redis::cmd("HMGET");
        read.arg(keys::PARTITIONING).arg(&FIELDS);
        let (from, to, step): (Option<u16>, Option<u16>, Option<String>) =
            read.query_async(connection).await?;
        let number = |number: Option<u16>| Partitions::new(number?).ok();
        let step = step.and_then(|word| Step::ALL.into_iter().find(|step| step.word() == word));
        let plan = number(from).zip(number(to)).zip(step);
        Ok(plan.map(|((from, to), step)| Self { from, to, step }))
    }

    /// Writes the plan and the partitioning that holds meanwhile, at once.
    pub(super) async fn write(&self, connection: &mut Connection) -> RedisResult<()> {
        let (partitions, state) = match self.step {
            Step::SetAside | Step::Redistribute => (self.from, "changing"),
            Step::CleanUp => (self.to, "set"),
        };
        let mut set = redis::cmd("HSET");
        set.arg(keys::PARTITIONING)
            .arg("partitions")
            .arg(u16::from(partitions));
        set.arg("state").arg(state);
        let [from, to, step] = FIELDS;
        set.arg(from).arg(u16::from(self.from));
        set.arg(to).arg(u16::from(self.to));
        set.arg(step).arg(self.step.word());
        set.exec_async(connection).await
    }

    /// Removes the plan: the change is done.
    pub(super) async fn remove(connection: &mut Connection) -> RedisResult<()> {
        let mut remove = redis::cmd("HDEL");
        remove.arg(keys::PARTITIONING).arg(&FIELDS);
        remove.exec_async(connection).await
    }
}
