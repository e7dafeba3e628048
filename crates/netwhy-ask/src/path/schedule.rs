//! Which TTLs to send when. No I/O.

use std::time::Duration;

use netwhy_facts::path::{Hop, HopReplyKind};

use super::millis;

/// Eight hops cover most networks, sixteen nearly all paths, thirty every sane one.
const BATCHES: [(u8, u8); 3] = [(1, 8), (9, 16), (17, 30)];
/// Time for the answers to a batch before the next goes out.
const BATCH: Duration = millis(120);
/// The last batch goes out only if a hop this near to it has answered.
const NEAR: u8 = 11;
/// When silent hops are asked again: late enough for slow links, early enough for an answer.
const AGAIN: Duration = millis(360);
/// After the target has answered, hops before it have at least this long.
const AFTERWARDS: Duration = millis(100);

/// The state of the sending.
pub(super) struct Schedule {
    next_batch: usize,
    asked_again: bool,
    stopped: bool,
    /// The whole time there is.
    total: Duration,
    reached_after: Option<Duration>,
}

impl Schedule {
    pub(super) fn new(total: Duration) -> Self {
        Schedule { next_batch: 0, asked_again: false, stopped: false, total, reached_after: None }
    }

    /// Nothing more is to be sent.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// TTLs to send now.
    pub(super) fn due(&mut self, elapsed: Duration, hops: &[Hop]) -> Vec<u8> {
        let reached = hops.iter().find(|hop| hop.replies.iter().any(is_end));
        if reached.is_some() {
            self.reached_after.get_or_insert(elapsed);
        }
        if self.stopped {
            return Vec::new();
        }
        let farthest = hops.iter().rev().find(|hop| !hop.replies.is_empty()).map_or(0, |hop| hop.ttl);
        let mut ttls = Vec::new();
        if let Some((first, last)) = BATCHES.get(self.next_batch)
            && elapsed >= self.batch_at(self.next_batch)
        {
            let goes_on = reached.is_none() && (self.next_batch < 2 || farthest >= NEAR);
            self.next_batch = if goes_on { self.next_batch + 1 } else { BATCHES.len() };
            if goes_on {
                ttls.extend(*first..=*last);
            }
        }
        if !self.asked_again && elapsed >= self.again_at() {
            self.asked_again = true;
            let end = reached.map_or(farthest, |hop| hop.ttl);
            ttls.extend(hops.iter().filter(|hop| hop.ttl < end && hop.replies.is_empty()).map(|hop| hop.ttl));
        }
        ttls
    }

    /// When [`Self::due`] may have something next.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.stopped {
            return None;
        }
        let batch = (self.next_batch < BATCHES.len()).then(|| self.batch_at(self.next_batch));
        let again = (!self.asked_again).then(|| self.again_at());
        batch.into_iter().chain(again).min()
    }

    /// Whether waiting longer would tell no more.
    pub(super) fn is_done(&self, elapsed: Duration, hops: &[Hop]) -> bool {
        let Some(end) = hops.iter().position(|hop| hop.replies.iter().any(is_end)) else { return false };
        let before = hops.iter().take(end);
        let silent = before.clone().any(|hop| hop.replies.is_empty());
        let slowest = before.flat_map(|hop| &hop.replies).map(|reply| reply.rtt_us).max().unwrap_or(0);
        let grace = AFTERWARDS + 2 * Duration::from_micros(slowest);
        let since = self.reached_after.map_or(Duration::ZERO, |at| elapsed.saturating_sub(at));
        let again = self.asked_again || self.stopped;
        !silent || (again && since >= grace && elapsed >= self.again_at() + grace)
    }

    fn batch_at(&self, batch: usize) -> Duration {
        // With little time all batches still go out in its first half.
        BATCH.min(self.total / 6) * u32::try_from(batch).unwrap_or(0)
    }

    fn again_at(&self) -> Duration {
        AGAIN.min(self.total / 2)
    }
}

/// Any answer but time exceeded ends the path, whoever sent it.
fn is_end(reply: &netwhy_facts::path::HopReply) -> bool {
    reply.kind != HopReplyKind::TimeExceeded
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_facts::path::HopReply;

    fn hop(ttl: u8, kind: Option<HopReplyKind>) -> Hop {
        let from = "198.51.100.1".parse().unwrap();
        let replies = kind.map(|kind| HopReply { from, rtt_us: 1_000, kind }).into_iter().collect();
        Hop { ttl, replies, sent: 1 }
    }

    fn passed(ttl: u8) -> Hop {
        hop(ttl, Some(HopReplyKind::TimeExceeded))
    }

    #[test]
    fn a_near_target_costs_one_batch() {
        let mut schedule = Schedule::new(millis(900));
        assert_eq!(schedule.due(millis(0), &[]), (1..=8).collect::<Vec<_>>());
        let hops = [passed(1), passed(2), hop(3, Some(HopReplyKind::SynAck)), hop(4, None)];
        assert_eq!(schedule.due(millis(130), &hops), [0u8; 0]);
        assert!(schedule.is_done(millis(130), &hops));
    }

    #[test]
    fn silence_goes_no_further_than_sixteen() {
        let mut schedule = Schedule::new(millis(900));
        let mut hops = vec![passed(1), passed(2)];
        hops.extend((3..=16).map(|ttl| hop(ttl, None)));
        assert_eq!(schedule.due(millis(0), &[]).len(), 8);
        assert_eq!(schedule.next(), Some(millis(120)));
        assert_eq!(schedule.due(millis(120), &hops), (9..=16).collect::<Vec<_>>());
        assert_eq!(schedule.due(millis(240), &hops), [0u8; 0]);
        assert_eq!(schedule.due(millis(400), &hops), [0u8; 0], "nothing lies behind the silence");
        assert_eq!(schedule.next(), None);
        assert!(!schedule.is_done(millis(800), &hops), "a late answer may still come");
    }

    #[test]
    fn a_long_path_is_followed_to_thirty() {
        let mut schedule = Schedule::new(millis(900));
        let hops: Vec<Hop> = (1..=16).map(passed).collect();
        let sent: Vec<u8> = [0, 120, 240].iter().flat_map(|at| schedule.due(millis(*at), &hops)).collect();
        assert_eq!(sent, (1..=30).collect::<Vec<_>>());
    }

    #[test]
    fn silent_hops_on_the_way_are_asked_once_more() {
        let mut schedule = Schedule::new(millis(900));
        schedule.due(millis(0), &[]);
        let hops = [passed(1), hop(2, None), passed(3), hop(4, Some(HopReplyKind::Rst)), hop(5, None)];
        assert_eq!(schedule.due(millis(120), &hops), [0u8; 0]);
        assert!(!schedule.is_done(millis(200), &hops));
        assert_eq!(schedule.due(millis(360), &hops), [2]);
        assert_eq!(schedule.due(millis(400), &hops), [0u8; 0]);
        assert!(schedule.is_done(millis(500), &hops));
        schedule.stop();
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn with_little_time_all_goes_out_early() {
        let mut schedule = Schedule::new(millis(120));
        schedule.due(millis(0), &[]);
        assert_eq!(schedule.next(), Some(millis(20)));
        assert_eq!(schedule.due(millis(20), &[passed(1)]).len(), 8);
    }
}
