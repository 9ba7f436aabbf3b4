//! Neighbours: the other devices of a rack, in numbers.

/// Least number of values for a median: among fewer, the odd one cannot be identified.
const LEAST: usize = 3;

/// The newest temperatures of the other devices in the rack, in °C.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Neighbours {
    /// The mean of all; `None` where there are none.
    pub mean: Option<f64>,
    /// The median of those of the same role; `None` for fewer than three.
    pub median: Option<f64>,
}

impl Neighbours {
    /// Sums up the temperatures of `all` neighbours, and of those of the same role as the device.
    pub fn of(all: &[f64], same_role: &mut [f64]) -> Self {
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        Self {
            mean: (!all.is_empty()).then_some(mean),
            median: median(same_role),
        }
    }
}

/// Returns the middle value, or the mean of the two in the middle; `None` for fewer than three.
fn median(values: &mut [f64]) -> Option<f64> {
    if values.len() < LEAST {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_needs_three_values() {
        assert_eq!(median(&mut [1.0, 9.0]), None);
        assert_eq!(median(&mut [1.0, 9.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [1.0, 9.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn without_neighbours_there_is_no_mean() {
        assert_eq!(Neighbours::of(&[], &mut []), Neighbours::default());
        assert_eq!(Neighbours::of(&[20.0, 21.0], &mut []).mean, Some(20.5));
    }
}
