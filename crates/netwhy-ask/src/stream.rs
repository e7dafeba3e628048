//! A connection that reads and writes until a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_facts::socket::TcpInfo;
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::socket::Socket;

use crate::{Budget, Wait};

/// How much of what the peer sent first is remembered.
const REMEMBER: usize = 512;

/// A stream whose calls end with `TimedOut` when the wait is over, and which remembers the peer's first bytes.
#[derive(Debug)]
pub struct Timed<'a> {
    stream: TcpStream,
    wait: Wait<'a>,
    first: Vec<u8>,
}

impl<'a> Timed<'a> {
    /// Takes over a connection.
    pub fn new(stream: TcpStream, wait: Wait<'a>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Timed { stream, wait, first: Vec::new() })
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What the peer sent first, cut.
    #[must_use]
    pub fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// Waits no longer than `time` from now on; returns the old end for [`Self::limit_to`].
    pub fn limit(&mut self, time: Duration) -> Instant {
        let whole = self.wait.deadline;
        self.wait = self.wait.at_most(time);
        whole
    }

    /// Sets the end.
    pub fn limit_to(&mut self, deadline: Instant) {
        self.wait.deadline = deadline;
    }

    fn ready(&self, interest: Interest) -> io::Result<()> {
        loop {
            if poll::wait(self.stream.as_fd(), interest, Some(self.wait.next_look()))? {
                return Ok(());
            }
            if self.wait.is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready(Interest::READ)?,
                Ok(length) => {
                    let room = REMEMBER.saturating_sub(self.first.len());
                    self.first.extend(buffer.iter().take(length.min(room)));
                    return Ok(length);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready(Interest::WRITE)?,
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Notes the packets a connection has sent since its handshake's three.
pub(crate) fn note_packets(stream: &TcpStream, budget: &Budget) {
    let info = stream
        .try_clone()
        .ok()
        .and_then(|copy| Socket::from_tcp_stream(copy).ok())
        .and_then(|socket| socket.tcp_info().ok())
        .and_then(|bytes| TcpInfo::from_kernel(&bytes));
    budget.note(info.and_then(|info| info.segs_out).unwrap_or(0).saturating_sub(2));
}
