//! What a program would have got that tries addresses one after the other, and one with Happy Eyeballs.

use std::net::SocketAddr;

use netwhy_facts::attempt::{Attempt, Outcome};

/// Connection Attempt Delay, RFC 8305 section 5: recommended 250 ms.
const DELAY_US: u64 = 250_000;

/// Computed from attempts that all began at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eyeballs {
    /// The order in which Happy Eyeballs starts them: families in turn, beginning with the first one's.
    pub order: Vec<SocketAddr>,
    /// Who would have connected first, and how many microseconds after the start.
    pub winner: Option<(SocketAddr, u64)>,
    /// The same for a program that waits for each address to fail before it takes the next, in the order given.
    /// An address that had not failed when the attempt ended holds it up for at least that long.
    pub one_by_one: Option<(SocketAddr, u64)>,
}

/// The attempts in the order of the addresses' preference (RFC 6724). UDP and variations are left out.
#[must_use]
pub fn eyeballs(attempts: &[Attempt]) -> Eyeballs {
    let plain: Vec<&Attempt> = attempts
        .iter()
        .filter(|a| a.variant.is_none() && a.proto == netwhy_facts::flow::Proto::Tcp)
        .collect();
    let order = interleave(&plain);
    let address = |attempt: &Attempt| SocketAddr::new(attempt.dst, attempt.dport);
    let mut starts = 0;
    let mut winner: Option<(SocketAddr, u64)> = None;
    for attempt in &order {
        // Nobody starts another when one stands.
        if winner.is_some_and(|(_, at)| at <= starts) {
            break;
        }
        let ends = starts + attempt.elapsed_us;
        if connected(attempt) && winner.is_none_or(|(_, at)| ends < at) {
            winner = Some((address(attempt), ends));
        }
        starts += if failed(attempt) { attempt.elapsed_us.min(DELAY_US) } else { DELAY_US };
    }
    let mut waited = 0_u64;
    let one_by_one = plain.iter().find_map(|attempt| {
        waited += attempt.elapsed_us;
        connected(attempt).then(|| (address(attempt), waited))
    });
    Eyeballs { order: order.into_iter().map(address).collect(), winner, one_by_one }
}

/// Whether connect() succeeded; what became of the connection afterwards is another matter.
fn connected(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Ok | Outcome::ClosedEarly { .. })
}

/// Whether it is known to have failed, and not only to take long.
fn failed(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Error { .. })
}

/// RFC 8305 section 4: the first address's family, then the families in turn as long as both last.
fn interleave<'a>(attempts: &[&'a Attempt]) -> Vec<&'a Attempt> {
    let Some(first) = attempts.first() else { return Vec::new() };
    let (mut own, mut other): (Vec<_>, Vec<_>) =
        attempts.iter().copied().partition(|a| a.dst.is_ipv4() == first.dst.is_ipv4());
    own.reverse();
    other.reverse();
    let mut order = Vec::with_capacity(attempts.len());
    while !own.is_empty() || !other.is_empty() {
        order.extend(own.pop());
        order.extend(other.pop());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_facts::attempt::Phase;
    use netwhy_facts::flow::Proto;

    fn attempt(dst: &str, elapsed_us: u64, outcome: Outcome) -> Attempt {
        Attempt {
            proto: Proto::Tcp,
            dst: dst.parse().unwrap(),
            dport: 443,
            local: None,
            variant: None,
            started: 0,
            elapsed_us,
            phase: Phase::Connect,
            outcome,
            icmp: Vec::new(),
            cookie: None,
            tcp: None,
        }
    }

    fn refused() -> Outcome {
        Outcome::Error { call: "connect".into(), errno: 111, name: "ECONNREFUSED".into() }
    }

    fn to(dst: &str) -> SocketAddr {
        SocketAddr::new(dst.parse().unwrap(), 443)
    }

    const A6: &str = "2001:db8::1";
    const B6: &str = "2001:db8::2";
    const A4: &str = "198.51.100.1";

    #[test]
    fn families_take_turns() {
        let all = [A6, B6, A4].map(|dst| attempt(dst, 1, Outcome::Timeout));
        let view = eyeballs(&all);
        assert_eq!(view.order, [to(A6), to(A4), to(B6)]);
        assert_eq!((view.winner, view.one_by_one), (None, None));
        assert_eq!(eyeballs(&[]).order, []);
    }

    #[test]
    fn a_silent_first_address_costs_a_quarter_of_a_second_or_everything() {
        let view = eyeballs(&[attempt(A6, 3_000_000, Outcome::Timeout), attempt(A4, 20_000, Outcome::Ok)]);
        assert_eq!(view.winner, Some((to(A4), 270_000)));
        assert_eq!(view.one_by_one, Some((to(A4), 3_020_000)));
    }

    #[test]
    fn an_early_failure_starts_the_next_at_once() {
        let view = eyeballs(&[attempt(A6, 100, refused()), attempt(A4, 20_000, Outcome::Ok)]);
        assert_eq!(view.winner, Some((to(A4), 20_100)));
    }

    #[test]
    fn a_slow_first_address_loses_to_a_fast_second() {
        let view = eyeballs(&[attempt(A6, 400_000, Outcome::Ok), attempt(A4, 20_000, Outcome::Ok)]);
        assert_eq!(view.winner, Some((to(A4), 270_000)));
        assert_eq!(view.one_by_one, Some((to(A6), 400_000)));
        // Fast enough, and the second is never tried.
        let view = eyeballs(&[attempt(A6, 90_000, Outcome::Ok), attempt(A4, 1, Outcome::Ok)]);
        assert_eq!(view.winner, Some((to(A6), 90_000)));
    }
}
