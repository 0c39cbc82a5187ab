//! [`Supervisor`]: tells the service manager how the gateway is, in the words of `sd_notify`. Where nobody asked to be
//! told, nobody is.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A service manager takes what it is told by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whoever started the process and wants to hear how it is.
#[derive(Debug, Default)]
pub struct Supervisor {
    ear: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// Whether it has been told that the gateway is ready: before that there is nothing to reload.
    is_ready: AtomicBool,
}

impl Supervisor {
    /// As the environment names it.
    pub fn of_environment() -> Self {
        let own = std::process::id().to_string();
        let number = |name| std::env::var(name).ok()?.parse().ok();
        let meant = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == own);
        let watchdog = number("WATCHDOG_USEC").filter(|microseconds| meant && *microseconds > 0);
        Self::at(
            std::env::var_os("NOTIFY_SOCKET").as_deref(),
            watchdog.map(Duration::from_micros),
        )
    }

    fn at(place: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let ear = match place.map(open) {
            Some(Ok(ear)) => Some(ear),
            Some(Err(error)) => {
                tracing::warn!(%error, "the service manager cannot be told how the gateway is: NOTIFY_SOCKET names no socket");
                None
            }
            None => None,
        };
        Self {
            ear,
            watchdog,
            is_ready: AtomicBool::new(false),
        }
    }

    /// It waits this long for [`Supervisor::alive`] before it restarts the gateway; `None`: it does not watch.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.ear.is_some())
    }

    /// The gateway serves, and this process is it.
    pub fn ready(&self, status: &str) {
        self.is_ready.store(true, Ordering::Release);
        let main = std::process::id();
        self.tell(&format!("READY=1\nMAINPID={main}\nSTATUS={status}"));
    }

    /// A new configuration is looked at.
    pub fn reloading(&self) {
        if self.is_ready.load(Ordering::Acquire) {
            let now = clock_gettime(ClockId::Monotonic);
            let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
        }
    }

    /// What has become of it.
    pub fn reloaded(&self, status: &str) {
        if self.is_ready.load(Ordering::Acquire) {
            self.tell(&format!("READY=1\nSTATUS={status}"));
        }
    }

    /// The gateway stops, which takes no longer than this.
    pub fn stopping(&self, limit: Duration, status: &str) {
        let microseconds = limit.as_micros();
        self.tell(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}\nSTATUS={status}"
        ));
    }

    /// The gateway works.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, words: &str) {
        if let Some((socket, to)) = &self.ear
            && let Err(error) = socket.send_to_addr(words.as_bytes(), to)
        {
            tracing::warn!(%error, "the service manager could not be told how the gateway is");
        }
    }
}

fn open(place: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address(place)?))
}

/// A path, or a name in the kernel's own list, which begins with an `@`.
fn address(place: &OsStr) -> io::Result<SocketAddr> {
    match place.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(place),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut words = [0; 512];
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let length = socket.recv(&mut words).unwrap();
        String::from_utf8(words[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_service_manager_is_told_at_a_path_or_by_a_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let name = format!("sekisho-test-{}", std::process::id());
        let named = SocketAddr::from_pathname(&path).unwrap();
        let listed = <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
        for (address, place) in [
            (named, path.into_os_string()),
            (listed, OsString::from(format!("@{name}"))),
        ] {
            let ear = UnixDatagram::bind_addr(&address).unwrap();
            let supervisor = Supervisor::at(Some(&place), None);
            supervisor.reloading();
            supervisor.ready("serving");
            let own = std::process::id();
            assert_eq!(heard(&ear), format!("READY=1\nMAINPID={own}\nSTATUS=serving"));
            supervisor.reloading();
            let reloading = heard(&ear);
            let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(since.parse::<u64>().unwrap() > 0, "{reloading}");
            supervisor.alive();
            assert_eq!(heard(&ear), "WATCHDOG=1");
            assert_eq!(supervisor.watchdog(), None);
        }
    }

    #[test]
    fn where_nobody_asked_nobody_is_told() {
        for place in [None, Some("relative"), Some("/nowhere/notify")] {
            let supervisor = Supervisor::at(place.map(OsStr::new), Some(Duration::from_secs(1)));
            supervisor.ready("serving");
            supervisor.alive();
        }
        assert_eq!(Supervisor::at(None, Some(Duration::from_secs(1))).watchdog(), None);
    }
}
