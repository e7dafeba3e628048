//! ICMP echo: does the address answer at all?
//!
//! Through a ping socket, which needs no privilege where `net.ipv4.ping_group_range` includes the group, else
//! through a raw one. Without either the attempt says so: an `Error` of the call `socket` in phase `Socket`.
//!
//! The identifier stands where other attempts have the source port, in `local`.

mod socket;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_facts::attempt::{Outcome, Phase};
use netwhy_facts::flow::Proto;
use netwhy_sys::poll::{self, Interest};

pub(crate) use socket::EchoSocket;

use crate::connect::{self, Course, Tried, Try};
use crate::{Budget, Victim, Wait};

/// A lost request is repeated after this.
const APART: Duration = Duration::from_secs(1);
/// Requests to one address.
const SENDS: u16 = 3;
/// What ping sends by default: with headers, 84 bytes of IPv4.
const DATA: usize = 56;

/// Asks all addresses at once; each until its first reply or error. What the budget does not cover is left out.
#[must_use]
pub fn run(addresses: &[IpAddr], victim: &Victim, budget: &Budget, wait: &Wait<'_>) -> Vec<Tried> {
    let targets: Vec<SocketAddr> = addresses.iter().map(|address| (*address, 0).into()).collect();
    run_scoped(&targets, victim, budget, wait)
}

/// As [`run`], for addresses with a scope id; ports are ignored.
#[must_use]
pub fn run_scoped(addresses: &[SocketAddr], victim: &Victim, budget: &Budget, wait: &Wait<'_>) -> Vec<Tried> {
    let paid: Vec<SocketAddr> = addresses.iter().copied().take_while(|_| budget.take(1)).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = paid
            .into_iter()
            .map(|mut address| {
                address.set_port(0);
                scope.spawn(move || one(address, victim, budget, wait))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn one(address: SocketAddr, victim: &Victim, budget: &Budget, wait: &Wait<'_>) -> Tried {
    let what = Try::plain(Proto::Icmp, address);
    let mut course = Course::new(&what);
    let socket = match EchoSocket::open(address, victim) {
        Ok(socket) => socket,
        Err(error) => return course.fail(Phase::Socket, &error),
    };
    course.began = Instant::now();
    if let Err(error) = socket.connect() {
        return course.fail(Phase::Connect, &error);
    }
    course.identify(socket.inner());
    course.local = course.local.map(|local| SocketAddr::new(local.ip(), socket.id()));
    let (phase, outcome) = exchange(&socket, &mut course, budget, wait);
    let elapsed = course.micros();
    Tried { attempt: course.end(elapsed, phase, outcome), stream: None }
}

fn exchange(
    socket: &EchoSocket,
    course: &mut Course<'_>,
    budget: &Budget,
    wait: &Wait<'_>,
) -> (Phase, Outcome) {
    for sequence in 1..=SENDS {
        // The first one is paid for.
        if sequence > 1 && !budget.take(1) {
            break;
        }
        if let Err(error) = socket.send(sequence, DATA) {
            course.drain(socket.inner());
            return (Phase::Connect, connect::failure(&error));
        }
        let turn = wait.at_most(APART);
        while !turn.is_over() {
            match poll::wait(socket.inner().as_fd(), Interest::READ, Some(turn.next_look())) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => return (Phase::Connect, connect::failure(&error)),
            }
            let queued = course.drain(socket.inner());
            match (socket.receive(), queued) {
                (Ok(Some(_)), _) => return (Phase::Answered, Outcome::Ok),
                (_, Some(error)) => return (Phase::Connect, connect::errno("recvmsg", error)),
                (Err(error), None) => return (Phase::Connect, connect::errno("recvmsg", error.errno)),
                (Ok(None), None) => {}
            }
        }
        if wait.is_over() {
            break;
        }
    }
    (Phase::Connect, Outcome::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{route, routed, sysctl};

    fn ask(address: &str, patience: Duration) -> netwhy_facts::attempt::Attempt {
        let wait = Wait::until(Instant::now() + patience);
        let mut all = run(&[address.parse().unwrap()], &Victim::default(), &Budget::new(5), &wait);
        assert_eq!(all.len(), 1);
        all.remove(0).attempt
    }

    #[test]
    fn hosts_answer_and_routers_explain() {
        let Some(net) = routed() else { return };
        // With and without the right to ping sockets: without, root falls back to raw ones.
        for range in ["0 2147483647", "1 0"] {
            net.client
                .run(|| {
                    sysctl("net.ipv4.ping_group_range", range);
                    for address in ["203.0.113.1", "2001:db8:2::1"] {
                        let attempt = ask(address, Duration::from_secs(5));
                        assert_eq!(
                            (&attempt.outcome, attempt.phase),
                            (&Outcome::Ok, Phase::Answered),
                            "{range}"
                        );
                        assert!(attempt.local.unwrap().port() != 0);
                        assert_eq!((attempt.dport, attempt.proto), (0, Proto::Icmp));
                    }
                })
                .unwrap();
        }
        net.client
            .run(|| {
                route("192.0.2.0", 24, "198.51.100.254");
                for range in ["0 2147483647", "1 0"] {
                    sysctl("net.ipv4.ping_group_range", range);
                    let attempt = ask("192.0.2.1", Duration::from_secs(5));
                    let Outcome::Error { name, .. } = &attempt.outcome else { panic!("{attempt:?}") };
                    assert_eq!(name, "ENETUNREACH");
                    let [icmp] = attempt.icmp.as_slice() else { panic!("{attempt:?}") };
                    assert_eq!((icmp.icmp_type, icmp.code), (3, 0));
                    assert_eq!(icmp.from, Some("198.51.100.254".parse().unwrap()));
                }
            })
            .unwrap();
    }

    #[test]
    fn silence_is_a_timeout() {
        let Some(net) = routed() else { return };
        net.server.run(|| sysctl("net.ipv4.icmp_echo_ignore_all", "1")).unwrap();
        net.client
            .run(|| {
                let attempt = ask("203.0.113.1", Duration::from_millis(150));
                assert_eq!((attempt.outcome, attempt.phase), (Outcome::Timeout, Phase::Connect));
            })
            .unwrap();
    }

    #[test]
    fn without_any_right_it_says_so() {
        let Some(net) = routed() else { return };
        net.client
            .run(|| {
                sysctl("net.ipv4.ping_group_range", "1 0");
                netwhy_sys::caps::keep_only(netwhy_sys::caps::CapSet::EMPTY).unwrap();
                let attempt = ask("203.0.113.1", Duration::from_secs(1));
                assert_eq!(attempt.phase, Phase::Socket);
                let Outcome::Error { call, name, .. } = &attempt.outcome else { panic!("{attempt:?}") };
                assert_eq!((call.as_str(), name.as_str()), ("socket", "EPERM"));
            })
            .unwrap();
    }
}
