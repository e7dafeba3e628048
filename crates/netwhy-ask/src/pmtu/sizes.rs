//! Which sizes to try next. No I/O.

/// What became of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was answered.
    Passed,
    /// A router said that it is too big.
    TooBig,
    /// Nothing, twice.
    Silent,
}

/// Sizes tried at once when narrowing down.
const AT_ONCE: u32 = 6;
/// As small as an ordinary ping: shows whether the target answers at all.
const SMALL: u32 = 84;
/// What every IPv6 path must carry (RFC 8200 section 5).
const MIDDLE: u32 = 1280;

/// The state of a search.
#[derive(Debug)]
pub(super) struct Search {
    largest: u32,
    begun: bool,
    passed: Option<u32>,
    failed: Option<u32>,
    /// What a router said fits, not yet tried.
    hint: Option<u32>,
}

impl Search {
    pub(super) fn new(largest: u32) -> Self {
        Search { largest, begun: false, passed: None, failed: None, hint: None }
    }

    /// Sizes to send now, in ascending order; none when all is known.
    pub(super) fn next(&mut self) -> Vec<u32> {
        if !self.begun {
            self.begun = true;
            let mut sizes = vec![SMALL, MIDDLE, self.largest];
            sizes.retain(|size| *size <= self.largest);
            sizes.dedup();
            return sizes;
        }
        let (Some(low), Some(high)) = (self.passed, self.failed) else { return Vec::new() };
        if high - low <= 1 {
            return Vec::new();
        }
        if let Some(hint) = self.hint.take().filter(|hint| *hint > low && *hint < high) {
            // The size that is said to fit, and the next one.
            return [hint, hint + 1].into_iter().filter(|size| *size < high).collect();
        }
        let steps = AT_ONCE.min(high - low - 1);
        let mut sizes: Vec<u32> = (1..=steps).map(|step| low + (high - low) * step / (steps + 1)).collect();
        sizes.dedup();
        sizes.retain(|size| *size > low && *size < high);
        sizes
    }

    /// Takes in what became of a round's sizes and what a router has said.
    pub(super) fn note(&mut self, answers: &[(u32, Answer)], told: Option<u32>) {
        for (size, answer) in answers {
            if *answer == Answer::Passed && self.passed.is_none_or(|known| *size > known) {
                self.passed = Some(*size);
            }
        }
        // The smallest that failed above the largest that passed; what was lost below it was lost by chance.
        let lost = answers.iter().filter(|(size, answer)| {
            *answer != Answer::Passed && self.passed.is_none_or(|passed| *size > passed)
        });
        let smallest = lost.map(|(size, _)| *size).chain(self.failed).min();
        self.failed = smallest.filter(|size| self.passed.is_none_or(|passed| *size > passed));
        self.hint = told.or(self.hint);
    }

    /// The largest size that passed, and the smallest above it that did not.
    pub(super) fn found(&self) -> (Option<u32>, Option<u32>) {
        (self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a search over a path that carries `mtu` and says so or not. Rounds, sizes sent, result.
    fn run(local: u32, mtu: u32, says: bool) -> (usize, usize, (Option<u32>, Option<u32>)) {
        let mut search = Search::new(local);
        let (mut rounds, mut sent, mut told) = (0, 0, None);
        loop {
            let sizes = search.next();
            if sizes.is_empty() {
                return (rounds, sent, search.found());
            }
            rounds += 1;
            sent += sizes.len();
            assert!(rounds < 20 && sizes.is_sorted());
            let answers: Vec<_> = sizes
                .iter()
                .map(|size| match (*size <= mtu, says) {
                    (true, _) => (*size, Answer::Passed),
                    (false, true) => {
                        told = Some(mtu);
                        (*size, Answer::TooBig)
                    }
                    (false, false) => (*size, Answer::Silent),
                })
                .collect();
            search.note(&answers, told);
        }
    }

    #[test]
    fn a_good_path_is_one_round() {
        assert_eq!(run(1500, 1500, false), (1, 3, (Some(1500), None)));
        assert_eq!(run(1280, 9000, false), (1, 2, (Some(1280), None)));
        assert_eq!(run(68, 9000, false), (1, 1, (Some(68), None)));
    }

    #[test]
    fn every_hole_is_found_to_the_byte() {
        for mtu in 84..1500 {
            let (rounds, sent, found) = run(1500, mtu, false);
            assert_eq!(found, (Some(mtu), Some(mtu + 1)));
            assert!(rounds <= 6 && sent <= 30, "{mtu}: {rounds} rounds, {sent} packets");
        }
        assert_eq!(run(65535, 1500, false).2, (Some(1500), Some(1501)));
    }

    #[test]
    fn a_router_that_says_what_fits_shortens_it() {
        assert_eq!(run(1500, 1400, true), (2, 5, (Some(1400), Some(1401))));
        assert_eq!(run(9000, 1500, true), (2, 5, (Some(1500), Some(1501))));
    }

    #[test]
    fn a_target_that_never_answers_is_no_hole() {
        assert_eq!(run(1500, 0, false), (1, 3, (None, Some(84))));
    }

    #[test]
    fn a_lost_small_packet_does_not_mislead() {
        let mut search = Search::new(1500);
        search.next();
        search.note(&[(84, Answer::Passed), (1280, Answer::Silent), (1500, Answer::Passed)], None);
        assert_eq!((search.next(), search.found()), (vec![], (Some(1500), None)));
    }
}
