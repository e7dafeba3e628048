//! Asks the kernel what an attached program does with a packet: the program is run on it (BPF_PROG_TEST_RUN).
//!
//! Nothing is sent and nothing is attached. As with any packet that passes, the program may note it in its own maps
//! (a counter, a table of flows); so this is asked only of a program that is suspected, with one packet of the
//! question's flow, and not when the user wants to look only.

use netwhy_facts::Reading;
use netwhy_sys::bpf::Program;

use crate::collector::Collector;
use crate::error::CollectError;

/// The least an Ethernet frame is long, without its checksum.
const FRAME: usize = 60;

impl Collector {
    /// What a program returns for a frame (Ethernet header included).
    pub fn bpf_trial(&self, prog_id: u32, frame: &[u8]) -> Reading<u32> {
        Self::reading("BPF_PROG_TEST_RUN", "CAP_SYS_ADMIN", || {
            let mut frame = frame.to_vec();
            frame.resize(frame.len().max(FRAME), 0);
            let program = Program::by_id(prog_id).map_err(CollectError::from)?;
            Ok(program.test_run(&frame, 1).map_err(CollectError::from)?.result)
        })
    }
}
