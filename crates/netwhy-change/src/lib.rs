//! Changes exactly one thing in the kernel over netlink, ioctl or `/proc/sys`, and says how to undo it.
//!
//! Every function takes the socket it speaks through, so that a change can only reach the namespace that
//! socket was opened in. Nothing here decides whether a change is wanted.
#![forbid(unsafe_code)]
