//! The terminal netwhy writes to (`tty_ioctl(2)`).

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::{Result, check};

/// Columns of the terminal behind a descriptor; 0 if it has not been told. `ENOTTY`: it is none.
pub fn columns(fd: BorrowedFd<'_>) -> Result<u16> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `struct winsize`, which outlives the call.
    let code = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size) };
    check(code, "ioctl TIOCGWINSZ")?;
    Ok(size.ws_col)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_is_no_terminal() {
        let file = File::open("/proc/self/status").unwrap();
        assert_eq!(columns(file.as_fd()).unwrap_err().errno.name(), "ENOTTY");
    }

    #[test]
    fn a_new_terminal_has_not_been_told() {
        let Ok(master) = File::open("/dev/ptmx") else {
            eprintln!("skipped: no /dev/ptmx here");
            return;
        };
        assert_eq!(columns(master.as_fd()).unwrap(), 0);
    }
}
