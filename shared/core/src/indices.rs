//! Cooling indices of racks, rows and rooms, and the aggregates that they are computed from.
//!
//! RCI, the rack cooling index, is Herrlin's ("Rack Cooling Effectiveness in Data Centers and Telecom Central
//! Offices: The Rack Cooling Index (RCI)", ASHRAE Transactions 111(2), 2005). It is 100 % if no intake is beyond
//! the recommended limit, and 0 % if all intakes are at the allowable limit on average. An index is meaningless
//! without the number of intakes and the class of equipment, so both accompany it.
//!
//! An index says nothing of sensors without a present value. So it comes with its coverage, the share of inlets that it
//! rests on, and is unknown below [`MIN_COVERAGE`].

use serde::{Deserialize, Serialize};

/// The least share of sensors that an index may rest on. The others may be anywhere, and are the majority below it.
pub const MIN_COVERAGE: f64 = 0.5;

/// Limits of the air that equipment takes in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Envelope {
    /// The ASHRAE class of equipment: `A1` to `A4`, `H1`.
    pub class: &'static str,
    /// The recommended range, in °C.
    pub recommended: (f64, f64),
    /// The allowable range, in °C.
    pub allowable: (f64, f64),
}

/// Sums over the sensors of one place at one moment. Aggregates of several places add up to one of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Aggregate {
    /// The number of valid inlet readings.
    pub inlets: u32,
    /// The number of inlets without a present value, and of devices that may be inlets, because nothing describes them.
    pub missing: u32,
    /// The sum of inlet temperatures, in °C.
    pub inlet_sum: f64,
    /// The sum of excesses over the recommended range, in kelvin.
    pub above: f64,
    /// The sum of shortfalls below the recommended range, in kelvin.
    pub below: f64,
    /// The number of inlets outside the recommended range.
    pub outside: u32,
    /// The number of valid exhaust readings.
    pub exhausts: u32,
    /// The number of exhausts without a present value.
    pub missing_exhausts: u32,
    /// The sum of exhaust temperatures, in °C.
    pub exhaust_sum: f64,
    /// The number of racks with inlets at several heights.
    pub gradients: u32,
    /// The sum of their top-to-bottom differences, in kelvin.
    pub gradient_sum: f64,
    /// The height and temperature of the lowest inlet of one rack.
    #[serde(skip)]
    lowest: Option<(u16, f64)>,
    /// The height and temperature of the highest inlet of one rack.
    #[serde(skip)]
    highest: Option<(u16, f64)>,
}

/// The indices of one place. An index without data is none, and so is one that rests on too small a share of sensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Indices {
    /// The number of intakes: the n of RCI.
    pub n: u32,
    /// The number of inlets without a present value, which no index includes.
    pub missing: u32,
    /// The share of inlets that the indices rest on, from 0 to 1; none without inlets.
    pub coverage: Option<f64>,
    /// RCI of the high end, in percent.
    pub rci_hi: Option<f64>,
    /// RCI of the low end, in percent.
    pub rci_lo: Option<f64>,
    /// The difference between the mean exhaust and the mean inlet temperature, in kelvin. It needs enough of both.
    pub delta_t: Option<f64>,
    /// The mean top-to-bottom difference of racks, in kelvin.
    pub gradient: Option<f64>,
    /// The share of inlets outside the recommended range, from 0 to 1. Summed over minutes, it is the mean time that an
    /// inlet spent outside.
    pub outside: Option<f64>,
}

impl Aggregate {
    /// Adds an inlet at height `u` of its rack, in rack units.
    pub fn inlet(&mut self, celsius: f64, u: Option<u16>, envelope: &Envelope) {
        let (low, high) = envelope.recommended;
        self.inlets += 1;
        self.inlet_sum += celsius;
        self.above += (celsius - high).max(0.0);
        self.below += (low - celsius).max(0.0);
        self.outside += u32::from(celsius > high || celsius < low);
        let Some(u) = u else { return };
        if self.lowest.is_none_or(|(lowest, _)| u < lowest) {
            self.lowest = Some((u, celsius));
        }
        if self.highest.is_none_or(|(highest, _)| u > highest) {
            self.highest = Some((u, celsius));
        }
    }

    /// Adds an exhaust reading.
    pub fn exhaust(&mut self, celsius: f64) {
        self.exhausts += 1;
        self.exhaust_sum += celsius;
    }

    /// Adds an inlet without a present value.
    pub fn missing_inlet(&mut self) {
        self.missing += 1;
    }

    /// Adds an exhaust without a present value.
    pub fn missing_exhaust(&mut self) {
        self.missing_exhausts += 1;
    }

    /// Returns the aggregate of the same sensors, all without a present value.
    #[must_use]
    pub fn without_values(&self) -> Self {
        Self {
            missing: self.inlets + self.missing,
            missing_exhausts: self.exhausts + self.missing_exhausts,
            ..Self::default()
        }
    }

    /// Completes the aggregate of one rack, once all its sensors were added.
    #[must_use]
    pub fn of_rack(mut self) -> Self {
        let is_covered = is_enough(share(self.inlets, self.missing));
        if is_covered
            && let (Some((low, cool)), Some((high, warm))) = (self.lowest, self.highest)
            && low < high
        {
            self.gradients = 1;
            self.gradient_sum = warm - cool;
        }
        self
    }

    /// Adds the aggregate of another place.
    pub fn add(&mut self, other: &Self) {
        self.inlets += other.inlets;
        self.missing += other.missing;
        self.missing_exhausts += other.missing_exhausts;
        self.inlet_sum += other.inlet_sum;
        self.above += other.above;
        self.below += other.below;
        self.outside += other.outside;
        self.exhausts += other.exhausts;
        self.exhaust_sum += other.exhaust_sum;
        self.gradients += other.gradients;
        self.gradient_sum += other.gradient_sum;
    }

    /// Computes the indices within an envelope.
    pub fn indices(&self, envelope: &Envelope) -> Indices {
        let coverage = share(self.inlets, self.missing);
        let inlets = if is_enough(coverage) { self.inlets } else { 0 };
        let exhausts = if is_enough(share(self.exhausts, self.missing_exhausts)) {
            self.exhausts
        } else {
            0
        };
        let gradients = if inlets > 0 { self.gradients } else { 0 };
        let mean = |sum: f64, count: u32| (count > 0).then(|| sum / f64::from(count));
        let rci = |beyond: f64, recommended: f64, allowable: f64| {
            let most = (allowable - recommended).abs() * f64::from(inlets);
            (inlets > 0).then(|| 100.0 * (1.0 - beyond / most))
        };
        let (low, high) = envelope.recommended;
        let inlet = mean(self.inlet_sum, inlets);
        let exhaust = mean(self.exhaust_sum, exhausts);
        Indices {
            n: self.inlets,
            missing: self.missing,
            coverage,
            rci_hi: rci(self.above, high, envelope.allowable.1),
            rci_lo: rci(self.below, low, envelope.allowable.0),
            delta_t: exhaust.zip(inlet).map(|(exhaust, inlet)| exhaust - inlet),
            gradient: mean(self.gradient_sum, gradients),
            outside: mean(f64::from(self.outside), inlets),
        }
    }
}

/// Returns the share of sensors with a present value, from 0 to 1; none without sensors.
fn share(present: u32, missing: u32) -> Option<f64> {
    let all = f64::from(present) + f64::from(missing);
    (all > 0.0).then(|| f64::from(present) / all)
}

fn is_enough(coverage: Option<f64>) -> bool {
    coverage.is_some_and(|share| share >= MIN_COVERAGE)
}

impl Indices {
    /// The names of the indices, as keys carry them.
    pub const NAMES: [&str; 7] = [
        "rci_hi", "rci_lo", "delta_t", "gradient", "outside", "n", "coverage",
    ];

    /// Returns each index that has data, with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = [
            self.rci_hi,
            self.rci_lo,
            self.delta_t,
            self.gradient,
            self.outside,
            Some(f64::from(self.n)),
            self.coverage,
        ];
        let named = Self::NAMES.into_iter().zip(values);
        named.filter_map(|(name, value)| Some((name, value?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A1: Envelope = Envelope {
        class: "A1",
        recommended: (18.0, 27.0),
        allowable: (15.0, 32.0),
    };

    #[test]
    fn rci_is_the_unused_share_of_the_allowance() {
        let mut rack = Aggregate::default();
        for (celsius, u) in [(22.0, 2), (27.0, 20), (29.0, 40), (17.0, 10)] {
            rack.inlet(celsius, Some(u), &A1);
        }
        rack.exhaust(36.0);
        rack.exhaust(34.5);
        let rack = rack.of_rack();
        let indices = rack.indices(&A1);
        // Two kelvin above, of four times five; one below, of four times three.
        assert_eq!(indices.rci_hi, Some(90.0));
        assert!((indices.rci_lo.unwrap() - 100.0 * (1.0 - 1.0 / 12.0)).abs() < 1e-9);
        assert_eq!((indices.delta_t, indices.gradient), (Some(11.5), Some(7.0)));
        assert_eq!((indices.n, indices.outside), (4, Some(0.5)));
        let mut row = Aggregate::default();
        row.add(&rack);
        row.add(&rack);
        assert_eq!(row.indices(&A1), Indices { n: 8, ..indices });
        assert_eq!(Aggregate::default().indices(&A1), Indices::default());
    }

    #[test]
    fn an_index_of_too_few_sensors_is_unknown() {
        let rack = |live: u16, missing: u16| {
            let mut rack = Aggregate::default();
            for u in 0..live {
                rack.inlet(20.0, Some(u), &A1);
                rack.exhaust(30.0);
            }
            for _ in 0..missing {
                rack.missing_inlet();
                rack.missing_exhaust();
            }
            rack.of_rack().indices(&A1)
        };
        let half = rack(4, 4);
        assert_eq!((half.rci_hi, half.coverage), (Some(100.0), Some(0.5)));
        assert_eq!(
            (half.delta_t, half.gradient, half.outside),
            (Some(10.0), Some(0.0), Some(0.0))
        );
        let few = rack(3, 5);
        let unknown = Indices {
            n: 3,
            missing: 5,
            coverage: Some(0.375),
            ..Indices::default()
        };
        assert_eq!(few, unknown);
        let mut one_sided = Aggregate::default();
        one_sided.inlet(20.0, None, &A1);
        one_sided.exhaust(30.0);
        one_sided.missing_exhaust();
        one_sided.missing_exhaust();
        let indices = one_sided.indices(&A1);
        assert_eq!((indices.delta_t, indices.rci_hi), (None, Some(100.0)));
        let mut lost = Aggregate::default();
        lost.inlet(20.0, None, &A1);
        let lost = lost.without_values().indices(&A1);
        assert_eq!((lost.n, lost.missing, lost.rci_hi), (0, 1, None));
    }
}
