//! One TCP connection, made and watched without sending a byte.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use netwhy_facts::attempt::{Outcome, Phase};
use netwhy_facts::socket::TcpInfo;
use netwhy_sys::errno::Errno;
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::socket::{Connect, Family, Kind, Socket};
use netwhy_sys::{Result, SysError};

use super::{Course, Tried, Try, errno, micros};
use crate::{Budget, Victim, Wait};

pub(super) fn attempt(what: &Try, victim: &Victim, budget: &Budget, wait: &Wait<'_>) -> Tried {
    let mut course = Course::new(what);
    let socket = match prepare(what, victim) {
        Ok(socket) => socket,
        Err(error) => return course.fail(Phase::Socket, &error),
    };
    course.cookie = socket.cookie().ok();
    course.began = Instant::now();
    let (phase, outcome, elapsed) = match socket.connect(what.dst) {
        Ok(progress) => follow(&socket, progress, &mut course, wait),
        Err(error) => {
            let elapsed = course.micros();
            course.drain(&socket);
            (Phase::Connect, super::failure(&error), elapsed)
        }
    };
    course.identify(&socket);
    course.tcp = socket.tcp_info().ok().and_then(|bytes| TcpInfo::from_kernel(&bytes)).map(Box::new);
    // The first SYN is paid for; the rest the kernel has sent, or will when this ends.
    let out = course.tcp.as_ref().and_then(|info| info.segs_out).unwrap_or(0);
    let farewell = u32::from(outcome == Outcome::Ok);
    budget.note(out.saturating_sub(1) + farewell);
    let stream = if outcome == Outcome::Ok { socket.into_tcp_stream().ok() } else { None };
    Tried { attempt: course.end(elapsed, phase, outcome), stream }
}

fn prepare(what: &Try, victim: &Victim) -> Result<Socket> {
    let socket = Socket::open(Family::of(what.dst.ip()), Kind::Tcp)?;
    // Changes nothing for a connection being made: an ICMP error ends that with or without the queue.
    socket.queue_errors(true)?;
    if what.sport != 0 {
        // The port of an attempt that is over may still be held by the ones before it.
        socket.set_reuse_address()?;
    }
    victim.dress(&socket, what.dst.ip(), what.sport)?;
    if what.bound && what.sport == 0 && victim.source.is_none() {
        let any = if what.dst.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        socket.bind((any, 0).into())?;
    }
    if let Some(bytes) = what.max_segment {
        socket.set_max_segment(bytes)?;
    }
    Ok(socket)
}

fn follow(
    socket: &Socket,
    progress: Connect,
    course: &mut Course<'_>,
    wait: &Wait<'_>,
) -> (Phase, Outcome, u64) {
    if progress == Connect::InProgress {
        loop {
            let hangup = match look(socket, Interest::WRITE, wait) {
                Ok(Look::Over) => return (Phase::Connect, Outcome::Timeout, course.micros()),
                Ok(Look::Nothing) => continue,
                Ok(Look::Ready { hangup, .. }) => hangup,
                Err(error) => return (Phase::Connect, super::failure(&error), course.micros()),
            };
            let elapsed = course.micros();
            // In this order: taking an ICMP error from the queue takes the pending error with it.
            let pending = socket.take_error();
            course.drain(socket);
            match (pending, socket.peer()) {
                (Ok(Some(error)), _) => return (Phase::Connect, errno("connect", error), elapsed),
                (Ok(None), Ok(_)) => break,
                // Only the error queue had something, and the connection goes on.
                (Ok(None), Err(_)) if !hangup => {}
                (Err(error), _) | (_, Err(error)) => {
                    return (Phase::Connect, super::failure(&error), elapsed);
                }
            }
        }
    }
    let connected = course.micros();
    let (phase, outcome) = watch(socket, course, wait);
    (phase, outcome, connected)
}

/// Watches a connection that stands until its time is over, the peer speaks, or the peer ends it.
fn watch(socket: &Socket, course: &mut Course<'_>, wait: &Wait<'_>) -> (Phase, Outcome) {
    let since = Instant::now();
    let wait = wait.at_most(course.what.linger);
    if course.what.linger.is_zero() {
        return (Phase::Established, Outcome::Ok);
    }
    let closed = |reset, bytes| {
        (Phase::Established, Outcome::ClosedEarly { reset, after_us: micros(since.elapsed()), bytes })
    };
    loop {
        let (hangup, error) = match look(socket, Interest::READ, &wait) {
            Ok(Look::Over) => return (Phase::Answered, Outcome::Ok),
            Ok(Look::Nothing) => continue,
            Ok(Look::Ready { hangup, error }) => (hangup, error),
            Err(error) => return (Phase::Established, super::failure(&error)),
        };
        if error {
            course.drain(socket);
        }
        let mut buffer = [0; 4096];
        match socket.peek(&mut buffer) {
            Ok(Some(data)) if data.length == 0 => return closed(false, 0),
            Ok(Some(data)) if hangup => return closed(false, data.length as u64),
            Ok(Some(_)) => return (Phase::Answered, Outcome::Ok),
            // The error queue had something, or the wake-up was for nothing.
            Ok(None) => {}
            Err(SysError { errno: Errno::ECONNRESET | Errno::EPIPE, .. }) => return closed(true, 0),
            Err(error) => return (Phase::Established, errno("recvmsg", error.errno)),
        }
    }
}

enum Look {
    /// The wait is over.
    Over,
    /// Nothing yet.
    Nothing,
    Ready {
        hangup: bool,
        error: bool,
    },
}

fn look(socket: &Socket, interest: Interest, wait: &Wait<'_>) -> Result<Look> {
    let ready = poll::poll(&[(socket.as_fd(), interest)], Some(wait.next_look()))?;
    Ok(match ready.first() {
        Some(ready) if ready.any() => Look::Ready { hangup: ready.hangup, error: ready.error },
        _ if wait.is_over() => Look::Over,
        _ => Look::Nothing,
    })
}
