//! The sockets that are listened on: bound here, or handed over by systemd. They are had before anything else is done, and
//! kept apart from what is served on them, so that another process can take them over by their names.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Listen;
use crate::domain::fault::Fault;

/// Connections the system holds until they are taken.
const BACKLOG: i32 = 1024;
/// Who may connect to a Unix socket: its owner and its group, such as that of the web server in front.
const UNIX_MODE: u32 = 0o660;

/// A socket that is listened on.
#[derive(Debug)]
pub struct Bound {
    /// What the configuration calls it.
    pub name: String,
    /// The socket.
    pub socket: ListeningSocket,
}

/// By what people come in.
#[derive(Debug)]
pub enum ListeningSocket {
    /// From the network, with TLS.
    Tcp(TcpListener),
    /// From another proxy on this machine, without.
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// Where it listens, with its real port.
    pub fn place(&self) -> String {
        match &self.socket {
            ListeningSocket::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| self.name.clone(), |address| address.to_string()),
            ListeningSocket::Unix(..) => self.name.clone(),
        }
    }
}

/// The file of a Unix socket, which goes when nobody listens any more.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have put its own there.
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The sockets that the service manager handed over, by their names.
pub struct Given(Vec<(String, TcpListener)>);

impl Given {
    /// Takes them from the environment, once in the life of the process. Sockets of other kinds are left alone.
    pub fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..given.len() {
            let name = names.next().unwrap_or_default();
            match given.take_tcp_listener(number) {
                Ok(Some(listener)) => sockets.push((name.to_owned(), listener)),
                Ok(None) => {}
                Err(error) => tracing::warn!(name, %error, "a socket that was handed over is none to listen on"),
            }
        }
        Self(sockets)
    }

    /// Those of this name.
    fn named(&mut self, name: &str) -> Vec<TcpListener> {
        let (found, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(has, _)| has == name);
        self.0 = left;
        let found: Vec<(String, TcpListener)> = found;
        found.into_iter().map(|(_, listener)| listener).collect()
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for (name, _) in &self.0 {
            tracing::warn!(name, "a socket was handed over that the configuration does not name");
        }
    }
}

/// Listens on every place under this key of the configuration, or says which one cannot be had.
///
/// # Errors
/// Names the place and the reason, and what to change.
pub fn bind(key: &str, places: &[Listen], given: &mut Given) -> Result<Vec<Bound>, Fault> {
    let mut bound: Vec<Bound> = Vec::with_capacity(places.len());
    for place in places {
        match had(place, given) {
            Ok(sockets) => bound.extend(sockets.into_iter().map(|socket| Bound {
                name: place.to_string(),
                socket,
            })),
            // A machine without IPv6 still serves on IPv4.
            Err(error) if is_ipv6(place) && has_no_ipv6(&error) && !bound.is_empty() => {
                tracing::warn!(%place, %error, "this machine has no IPv6; not listening there");
            }
            Err(error) => {
                return Err(Fault::unavailable(
                    format!("could not listen on {place} ({}change {key})", mend(place, &error)),
                    error,
                ));
            }
        }
    }
    Ok(bound)
}

fn had(place: &Listen, given: &mut Given) -> io::Result<Vec<ListeningSocket>> {
    match place {
        Listen::Tcp(address) => Ok(vec![ListeningSocket::Tcp(listen(*address)?)]),
        Listen::Unix(path) => {
            let (listener, file) = listen_unix(path)?;
            Ok(vec![ListeningSocket::Unix(listener, file)])
        }
        Listen::Systemd(name) => {
            let sockets = given.named(name);
            if sockets.is_empty() {
                return Err(io::ErrorKind::NotFound.into());
            }
            let ready = |listener: TcpListener| {
                listener.set_nonblocking(true)?;
                Ok(ListeningSocket::Tcp(listener))
            };
            sockets.into_iter().map(ready).collect()
        }
    }
}

/// An IPv6 socket takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart does not wait for connections of the run before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Made under another name and renamed once its mode is right, so that nobody connects who may not. What a killed process
/// left behind is replaced; a socket that somebody listens on is not.
fn listen_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) => return Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&draft)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(UNIX_MODE))?;
    let inode = fs::symlink_metadata(&draft)?.ino();
    fs::rename(&draft, path)?;
    let file = SocketFile {
        path: path.to_owned(),
        inode,
    };
    Ok((listener, file))
}

fn is_ipv6(place: &Listen) -> bool {
    place.address().is_some_and(|address| address.is_ipv6())
}

fn has_no_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn mend(place: &Listen, error: &io::Error) -> &'static str {
    match (place, error.kind()) {
        (Listen::Tcp(_), io::ErrorKind::AddrInUse) => "another program holds this port; stop it, or ",
        (Listen::Tcp(_), io::ErrorKind::PermissionDenied) => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it, or "
        }
        (Listen::Tcp(_), io::ErrorKind::AddrNotAvailable) => "this machine has no such address; ",
        (Listen::Unix(_), io::ErrorKind::AddrInUse) => "another program listens there; stop it, or ",
        (Listen::Unix(_), io::ErrorKind::AlreadyExists) => "a file that is no socket is in the way; move it, or ",
        (Listen::Unix(_), io::ErrorKind::NotFound) => "its directory does not exist; make it, or ",
        (Listen::Systemd(_), io::ErrorKind::NotFound) => {
            "no socket of this name was handed over; see FileDescriptorName= in the socket unit, or "
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Given {
        Given(Vec::new())
    }

    #[test]
    fn both_families_are_served_on_one_port() {
        let first = listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = first.local_addr().unwrap().port();
        let both = bind(
            "server.listen",
            &[Listen::Tcp(SocketAddr::new("::".parse().unwrap(), port))],
            &mut none(),
        );
        // A machine without IPv6 says so; one that has it serves both.
        assert!(both.is_ok() || has_no_ipv6(&listen("[::]:0".parse().unwrap()).unwrap_err()));
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_what_to_change() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let fault = bind("server.redirect_listen", &[Listen::Tcp(address)], &mut none()).unwrap_err();
        assert!(fault.to_string().contains(&format!(
            "could not listen on {address} (another program holds this port; stop it, or change server.redirect_listen)"
        )));
    }

    #[test]
    fn a_unix_socket_is_for_its_group_replaces_what_nobody_listens_on_and_goes_with_its_owner() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.sock");
        let bind = || bind("server.listen", &[Listen::Unix(path.clone())], &mut none());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "what a killed process leaves");
        let bound = bind().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, UNIX_MODE);
        UnixStream::connect(&path).unwrap();
        assert!(
            bind()
                .unwrap_err()
                .to_string()
                .contains("another program listens there")
        );
        drop(bound);
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert!(bind().unwrap_err().to_string().contains("no socket is in the way"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn what_another_process_put_there_meanwhile_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.sock");
        let first = listen_unix(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = listen_unix(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
    }

    #[test]
    fn a_socket_that_was_not_handed_over_is_named() {
        let fault = bind("server.listen", &[Listen::Systemd("web".to_owned())], &mut none()).unwrap_err();
        let words = "could not listen on systemd:web (no socket of this name was handed over";
        assert!(fault.to_string().contains(words), "{fault}");
    }
}
