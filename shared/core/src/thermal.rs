//! Simulated racks: what a hall's inlet sensors would say, without a hall.
//!
//! In: a [`Scenario`] (how many racks and sensors, a seed, what goes wrong and when) and points in
//! time. Out: descriptions once, and readings at each of these points. Nothing is lost: a sensor
//! that drops out says so by a fault. Time counts from the start of the hall, so that a run is the
//! same at any hour, and the seed and the sequence of ticks decide every value.
//!
//! Deliberately small: one air volume a rack, fed by an in-row cooler that it may share with others,
//! and no air flow between racks. What is random of a hall is drawn from stated ranges ([`Plant`]).

mod faults;
mod model;
mod plant;
mod scenario;

pub use faults::{Effect, Fault, Target};
pub use model::Hall;
pub use plant::Plant;
pub use scenario::{NotAScenario, Scenario};
