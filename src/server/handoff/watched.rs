use super::message::Numbers;

/// Fewer failures than this say nothing.
const FEW: u64 = 10;
/// Fewer answers of the old process than this, while both served, are no share to compare with.
const ENOUGH: u64 = 20;
/// How much worse, in answers of a hundred, beyond twice the old share.
const MARGIN: f64 = 0.05;

/// What both have answered since they began to serve side by side, and what the old one has answered in its life. A
/// service that is down fails on both: only a difference is the new process's fault.
pub(super) fn fault(old_life: Numbers, old: Numbers, new: Numbers) -> Option<String> {
    if new.panics > 0 {
        return Some(format!("it has met {} faults of its own (see its log: panicked at)", new.panics));
    }
    if new.failed < FEW {
        return None;
    }
    let compared = if old.answered >= ENOUGH { old } else { old_life };
    let (before, now) = (share(compared), share(new));
    (now > 2.0 * before + MARGIN).then(|| {
        format!(
            "{:.0} % of its {} answers were 5xx, and {:.0} % of the old process's",
            now * 100.0,
            new.answered,
            before * 100.0
        )
    })
}

fn share(numbers: Numbers) -> f64 {
    if numbers.answered == 0 { 0.0 } else { numbers.failed as f64 / numbers.answered as f64 }
}

impl Numbers {
    /// Since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            answered: self.answered.saturating_sub(earlier.answered),
            failed: self.failed.saturating_sub(earlier.failed),
            panics: self.panics.saturating_sub(earlier.panics),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answered: u64, failed: u64) -> Numbers {
        Numbers { answered, failed, panics: 0 }
    }

    #[test]
    fn only_what_the_new_process_does_worse_is_its_fault() {
        let cases = [
            // old in its life, old meanwhile, new, whether it is the new one's fault
            (of(1000, 0), of(100, 0), of(100, 9), false),
            (of(1000, 0), of(100, 0), of(100, 10), true),
            (of(1000, 0), of(1000, 0), of(1000, 49), false),
            // A service is down: both fail.
            (of(1000, 0), of(100, 50), of(100, 60), false),
            (of(1000, 500), of(19, 0), of(100, 60), false),
            (of(1000, 0), of(19, 19), of(100, 60), true),
            (of(0, 0), of(0, 0), of(10, 10), true),
        ];
        for (life, old, new, expected) in cases {
            assert_eq!(fault(life, old, new).is_some(), expected, "{life:?} {old:?} {new:?}");
        }
        assert!(fault(of(9, 0), of(9, 0), Numbers { panics: 1, ..of(9, 0) }).is_some());
    }
}
