//! [`Channel`]: how two processes talk during a handover: messages in JSON, and open files.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longer messages are none: half a million meters, and some room.
const MOST_BYTES: u32 = 256 << 20;

/// One end of the talk. All of it blocks, within time limits.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    /// This end and the other one.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (own, other) = UnixStream::pair()?;
        Ok((Self(own), other.into()))
    }

    /// The other end, in the other process.
    pub fn of(socket: OwnedFd) -> Self {
        Self(socket.into())
    }

    /// Says something, within `limit`.
    pub fn say(&mut self, message: &impl Serialize, limit: Duration) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.0.set_write_timeout(Some(limit))?;
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(&text)
    }

    /// Whether there is something to hear by then, be it that there is nobody.
    pub fn has_word(&self, by: Instant) -> io::Result<bool> {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        self.0.set_read_timeout(Some(left))?;
        match recv(&self.0, &mut [0; 1], RecvFlags::PEEK) {
            Ok(_) | Err(Errno::CONNRESET) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Hears what the other end says before `deadline`. [`io::ErrorKind::UnexpectedEof`]: there is nobody.
    pub fn hear<T: DeserializeOwned>(&mut self, deadline: Instant) -> io::Result<T> {
        let mut length = [0; 4];
        self.fill(&mut length, deadline)?;
        let length = u32::from_be_bytes(length);
        if length > MOST_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut text, deadline)?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn fill(&mut self, mut bytes: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.0.set_read_timeout(Some(left))?;
            match self.0.read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => bytes = bytes.split_at_mut(read).1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands an open file over.
    pub fn give(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let files = [file];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        if !rights.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(&self.0, &[IoSlice::new(&[0])], &mut rights, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The file that the other end hands over next.
    pub fn take(&self) -> io::Result<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(
            self.0.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut rights,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let files = rights.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        files
            .flatten()
            .next()
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Said;
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn words_and_files_arrive_in_their_order() {
        let (mut one, other) = Channel::pair().unwrap();
        let mut other = Channel::of(other);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        one.say(&Said::Here { process: 7 }, Duration::from_secs(5)).unwrap();
        one.give(listener.as_fd()).unwrap();
        one.give(listener.as_fd()).unwrap();
        one.say(&Said::Ready, Duration::from_secs(5)).unwrap();
        drop((one, listener));
        assert_eq!(other.hear::<Said>(soon()).unwrap(), Said::Here { process: 7 });
        for _ in 0..2 {
            let taken = std::net::TcpListener::from(other.take().unwrap());
            assert_eq!(taken.local_addr().unwrap(), address);
        }
        assert_eq!(other.hear::<Said>(soon()).unwrap(), Said::Ready);
        let nobody = other.hear::<Said>(soon()).unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn whoever_says_nothing_is_waited_for_until_the_deadline() {
        let (mut one, _other) = Channel::pair().unwrap();
        let late = one
            .hear::<Said>(Instant::now() + Duration::from_millis(20))
            .unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn whether_something_was_said_is_seen_without_hearing_it() {
        let (mut one, other) = Channel::pair().unwrap();
        let mut other = Channel::of(other);
        assert!(!other.has_word(Instant::now() + Duration::from_millis(20)).unwrap());
        one.say(&Said::Ready, Duration::from_secs(5)).unwrap();
        for _ in 0..2 {
            assert!(other.has_word(soon()).unwrap());
        }
        assert_eq!(other.hear::<Said>(soon()).unwrap(), Said::Ready);
        drop(one);
        assert!(other.has_word(soon()).unwrap(), "that there is nobody is worth hearing");
    }
}
