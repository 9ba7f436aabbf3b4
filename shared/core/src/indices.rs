//! How well racks are cooled, in a few numbers: what is summed up of a rack's sensors, and what that comes
//! to for a rack, a row or a room.
//!
//! RCI, the rack cooling index, is Herrlin's ("Rack Cooling Effectiveness in Data Centers and Telecom Central
//! Offices: The Rack Cooling Index (RCI)", ASHRAE Transactions 111(2), 2005): 100 % where no intake is
//! beyond the recommended limit, 0 % where all are on average at the allowable one. A figure without its
//! number of intakes and its class says nothing: both stand beside it.

use serde::{Deserialize, Serialize};

/// Limits of the air that equipment takes in, in °C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Envelope {
    /// Whose they are: `A1` to `A4`, `H1`.
    pub class: &'static str,
    /// The recommended range.
    pub recommended: (f64, f64),
    /// The allowable range.
    pub allowable: (f64, f64),
}

/// What the sensors of one place add up to at one moment. Sums of several places are sums again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// Inlets that were read.
    pub inlets: u32,
    /// Their temperatures together, in °C.
    pub inlet_sum: f64,
    /// How far they are above the recommended limit together, in kelvin.
    pub over: f64,
    /// How far below, likewise.
    pub under: f64,
    /// How many are beyond either.
    pub outside: u32,
    /// Exhausts that were read.
    pub exhausts: u32,
    /// Their temperatures together, in °C.
    pub exhaust_sum: f64,
    /// Racks with inlets at several heights.
    pub gradients: u32,
    /// By how much their highest inlets are warmer than their lowest, together, in kelvin.
    pub gradient_sum: f64,
    /// The lowest inlet of this rack, and its temperature.
    #[serde(skip)]
    lowest: Option<(u16, f64)>,
    /// The highest.
    #[serde(skip)]
    highest: Option<(u16, f64)>,
}

/// What sums come to; none where there is nothing to tell it by.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Indices {
    /// Intakes that were read: the n of RCI.
    pub n: u32,
    /// RCI of the high end, in percent.
    pub rci_hi: Option<f64>,
    /// RCI of the low end, in percent.
    pub rci_lo: Option<f64>,
    /// By how much exhausts are warmer than inlets on average, in kelvin.
    pub delta_t: Option<f64>,
    /// By how much the highest inlet of a rack is warmer than its lowest, on average, in kelvin.
    pub gradient: Option<f64>,
    /// The part of the inlets that are outside of the recommended range: added up over minutes, the minutes
    /// that an inlet was outside on average.
    pub outside: Option<f64>,
}

impl Sums {
    /// Adds an inlet, which is so high in its rack.
    pub fn inlet(&mut self, celsius: f64, u: Option<u16>, envelope: &Envelope) {
        let (low, high) = envelope.recommended;
        self.inlets += 1;
        self.inlet_sum += celsius;
        self.over += (celsius - high).max(0.0);
        self.under += (low - celsius).max(0.0);
        self.outside += u32::from(celsius > high || celsius < low);
        let Some(u) = u else { return };
        if self.lowest.is_none_or(|(lowest, _)| u < lowest) {
            self.lowest = Some((u, celsius));
        }
        if self.highest.is_none_or(|(highest, _)| u > highest) {
            self.highest = Some((u, celsius));
        }
    }

    /// Adds an exhaust.
    pub fn exhaust(&mut self, celsius: f64) {
        self.exhausts += 1;
        self.exhaust_sum += celsius;
    }

    /// All sensors of the rack have been added.
    #[must_use]
    pub fn of_rack(mut self) -> Self {
        if let (Some((low, cool)), Some((high, warm))) = (self.lowest, self.highest)
            && low < high
        {
            self.gradients = 1;
            self.gradient_sum = warm - cool;
        }
        self
    }

    /// Adds another place.
    pub fn add(&mut self, other: &Self) {
        self.inlets += other.inlets;
        self.inlet_sum += other.inlet_sum;
        self.over += other.over;
        self.under += other.under;
        self.outside += other.outside;
        self.exhausts += other.exhausts;
        self.exhaust_sum += other.exhaust_sum;
        self.gradients += other.gradients;
        self.gradient_sum += other.gradient_sum;
    }

    /// What it comes to.
    pub fn indices(&self, envelope: &Envelope) -> Indices {
        let mean = |sum: f64, count: u32| (count > 0).then(|| sum / f64::from(count));
        let rci = |beyond: f64, recommended: f64, allowable: f64| {
            let most = (allowable - recommended).abs() * f64::from(self.inlets);
            (self.inlets > 0).then(|| 100.0 * (1.0 - beyond / most))
        };
        let (low, high) = envelope.recommended;
        let inlet = mean(self.inlet_sum, self.inlets);
        let exhaust = mean(self.exhaust_sum, self.exhausts);
        Indices {
            n: self.inlets,
            rci_hi: rci(self.over, high, envelope.allowable.1),
            rci_lo: rci(self.under, low, envelope.allowable.0),
            delta_t: exhaust.zip(inlet).map(|(exhaust, inlet)| exhaust - inlet),
            gradient: mean(self.gradient_sum, self.gradients),
            outside: mean(f64::from(self.outside), self.inlets),
        }
    }
}

impl Indices {
    /// The names that numbers have in keys.
    pub const NAMES: [&str; 6] = ["rci_hi", "rci_lo", "delta_t", "gradient", "outside", "n"];

    /// Each number that there is, by its name in keys.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = [
            self.rci_hi,
            self.rci_lo,
            self.delta_t,
            self.gradient,
            self.outside,
            Some(f64::from(self.n)),
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
    fn an_index_is_the_part_of_what_is_allowed() {
        let mut rack = Sums::default();
        for (celsius, u) in [(22.0, 2), (27.0, 20), (29.0, 40), (17.0, 10)] {
            rack.inlet(celsius, Some(u), &A1);
        }
        rack.exhaust(36.0);
        rack.exhaust(34.5);
        let rack = rack.of_rack();
        let indices = rack.indices(&A1);
        // Two kelvin above of four times five; one below of four times three.
        assert_eq!(indices.rci_hi, Some(90.0));
        assert!((indices.rci_lo.unwrap() - 100.0 * (1.0 - 1.0 / 12.0)).abs() < 1e-9);
        assert_eq!((indices.delta_t, indices.gradient), (Some(11.5), Some(7.0)));
        assert_eq!((indices.n, indices.outside), (4, Some(0.5)));
        let mut row = Sums::default();
        row.add(&rack);
        row.add(&rack);
        assert_eq!(row.indices(&A1), Indices { n: 8, ..indices });
        assert_eq!(Sums::default().indices(&A1), Indices::default());
    }
}
