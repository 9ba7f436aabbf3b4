//! Simulated racks: readings as the sensors of a hall would give them.
//!
//! In: a [`Scenario`] (numbers of racks and sensors, a seed, scheduled faults) and points in time. Out: descriptions
//! once, and readings at each of these points. A sensor that drops out yields readings with a fault. Time counts from
//! the start of the hall, so a run is the same at any hour. The seed and the sequence of ticks decide every value.
//!
//! Deliberately small: one air volume for each rack, fed by an in-row cooler that it may share with others, and no air
//! flow between racks. Random properties of a hall come from stated ranges ([`Plant`]).

mod faults;
mod model;
mod plant;
mod scenario;

pub use faults::{Effect, ScheduledFault, Target};
pub use model::Hall;
pub use plant::Plant;
pub use scenario::{Scenario, ScenarioError};
