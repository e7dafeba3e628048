//! Listeners on netfilter queues (/proc/net/netfilter/nfnetlink_queue).

use netwhy_facts::Reading;
use netwhy_facts::nfqueue::{NfQueue, NfQueues};

use crate::collector::{Collector, read_text};
use crate::error::CollectError;

const FILE: &str = "/proc/net/netfilter/nfnetlink_queue";

impl Collector {
    /// Queues somebody listens on. Without the kernel's queue support there is none.
    pub fn nfqueues(&self) -> Reading<NfQueues> {
        Self::reading(FILE, "root (the file is not readable for others)", || {
            self.inside(|| {
                let path = self.proc_net("netfilter/nfnetlink_queue");
                match std::fs::metadata(&path) {
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(NfQueues::default()),
                    _ => decode(&read_text(&path)?),
                }
            })?
        })
    }
}

/// Lines of: queue, port id, waiting, copy mode, copy range, dropped by the queue, dropped for the listener, sequence, 1.
pub fn decode(text: &str) -> Result<NfQueues, CollectError> {
    let mut out = Vec::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let numbers: Vec<u64> = line.split_whitespace().map_while(|w| w.parse().ok()).collect();
        let [queue, portid, waiting, _, _, queue_dropped, user_dropped, ..] = numbers.as_slice() else {
            return Err(CollectError::malformed(FILE, format!("line {line:?}")));
        };
        out.push(NfQueue {
            queue: u16::try_from(*queue)
                .map_err(|_| CollectError::malformed(FILE, format!("queue {queue}")))?,
            portid: u32::try_from(*portid).unwrap_or(0),
            waiting: u32::try_from(*waiting).unwrap_or(u32::MAX),
            queue_dropped: *queue_dropped,
            user_dropped: *user_dropped,
        });
    }
    Ok(NfQueues(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_bad_ones_named() {
        let q = decode("    0   4711     2 2 65531     3     1        9  1\n").unwrap();
        assert_eq!(q.0, [NfQueue { queue: 0, portid: 4711, waiting: 2, queue_dropped: 3, user_dropped: 1 }]);
        assert_eq!(decode("").unwrap(), NfQueues::default());
        assert!(decode("0 1 two").unwrap_err().to_string().contains("line"));
        assert!(decode("70000 1 2 2 3 4 5 6 1").is_err());
    }
}
