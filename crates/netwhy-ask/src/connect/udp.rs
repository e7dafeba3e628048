//! Datagrams to one address, and what comes back: a reply, an ICMP error, or nothing.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_facts::attempt::{Outcome, Phase};
use netwhy_sys::Result;
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::socket::{Family, Kind, Socket};

use super::{Course, Tried, Try, errno};
use crate::{Budget, Victim, Wait};

/// Linux sends one ICMP error a second to a host that it has answered often (`net.ipv4.icmp_ratelimit`).
const APART: Duration = Duration::from_millis(1_050);
/// More would be no more certain.
const SENDS: u32 = 3;

pub(super) fn attempt(what: &Try, victim: &Victim, budget: &Budget, wait: &Wait<'_>) -> Tried {
    let mut course = Course::new(what);
    let socket = match prepare(what, victim) {
        Ok(socket) => socket,
        Err(error) => return course.fail(Phase::Socket, &error),
    };
    course.began = Instant::now();
    if let Err(error) = socket.connect(what.dst) {
        course.identify(&socket);
        return course.fail(Phase::Connect, &error);
    }
    course.identify(&socket);
    let (phase, outcome) = exchange(&socket, &mut course, budget, wait);
    let elapsed = course.micros();
    Tried { attempt: course.end(elapsed, phase, outcome), stream: None }
}

fn prepare(what: &Try, victim: &Victim) -> Result<Socket> {
    let socket = Socket::open(Family::of(what.dst.ip()), Kind::Udp)?;
    socket.queue_errors(true)?;
    victim.dress(&socket, what.dst.ip(), what.sport)?;
    Ok(socket)
}

fn exchange(socket: &Socket, course: &mut Course<'_>, budget: &Budget, wait: &Wait<'_>) -> (Phase, Outcome) {
    for number in 0..SENDS {
        // The first one is paid for.
        if number > 0 && !budget.take(1) {
            break;
        }
        if let Err(error) = socket.send(&course.what.payload) {
            course.drain(socket);
            return (Phase::Connect, super::failure(&error));
        }
        let turn = wait.at_most(APART);
        while !turn.is_over() {
            match poll::wait(socket.as_fd(), Interest::READ, Some(turn.next_look())) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => return (Phase::Connect, super::failure(&error)),
            }
            let queued = course.drain(socket);
            // A reply counts whatever else was said.
            let mut buffer = [0; 2048];
            match (socket.receive(&mut buffer), queued) {
                (Ok(Some(_)), _) => return (Phase::Answered, Outcome::Ok),
                (_, Some(error)) => return (Phase::Connect, errno("recvmsg", error)),
                (Err(error), None) => return (Phase::Connect, errno("recvmsg", error.errno)),
                (Ok(None), None) => {}
            }
        }
        if wait.is_over() {
            break;
        }
    }
    (Phase::Connect, Outcome::Timeout)
}
