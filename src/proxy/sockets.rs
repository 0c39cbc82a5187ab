//! The sockets that are listened on: bound here, or handed over by systemd. They are had before anything else is done, and
//! kept apart from what is served on them, so that another process can take them over by their names.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// The key of the configuration that names it.
    pub key: &'static str,
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

    /// The same socket, kept for another process.
    ///
    /// # Errors
    /// Those of the system.
    pub fn keep(&self) -> io::Result<Kept> {
        let (socket, file) = match &self.socket {
            ListeningSocket::Tcp(listener) => (listener.as_fd(), None),
            ListeningSocket::Unix(listener, file) => (listener.as_fd(), Some(Arc::clone(&file.left))),
        };
        Ok(Kept {
            name: kept_name(self.key, &self.name),
            socket: socket.try_clone_to_owned()?,
            file,
        })
    }
}

/// A socket that another process is to listen on too.
#[derive(Debug)]
pub struct Kept {
    name: String,
    socket: OwnedFd,
    /// Says that its file is another process's now.
    file: Option<Arc<AtomicBool>>,
}

impl Kept {
    /// A socket of this name, from another process.
    pub const fn new(name: String, socket: OwnedFd) -> Self {
        Self {
            name,
            socket,
            file: None,
        }
    }

    /// The key of the configuration that names it, and the place.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another process listens: its file stays when this one ends.
    pub fn leave(self) {
        self.is_left(true);
    }

    /// This process listens from now on: its file goes with it.
    pub fn own(&self) {
        self.is_left(false);
    }

    fn is_left(&self, to_another: bool) {
        if let Some(left) = &self.file {
            left.store(to_another, Ordering::Release);
        }
    }
}

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How a socket is called between two processes.
fn kept_name(key: &str, place: &str) -> String {
    format!("{key} {place}")
}

/// The file of a Unix socket, which goes when nobody listens any more.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Another process listens on it.
    left: Arc<AtomicBool>,
}

impl SocketFile {
    fn of(path: &Path, is_left: bool) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            inode: fs::symlink_metadata(path)?.ino(),
            left: Arc::new(AtomicBool::new(is_left)),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have put its own there.
        if !self.left.load(Ordering::Acquire)
            && fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode)
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The sockets that were handed over, by their names.
#[derive(Debug, Default)]
pub struct Given {
    /// By the service manager.
    sockets: Vec<(String, TcpListener)>,
    /// By the process whose place this one takes.
    kept: Vec<Kept>,
}

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
        Self {
            sockets,
            kept: Vec::new(),
        }
    }

    /// Those of the process whose place this one takes.
    pub const fn kept(kept: Vec<Kept>) -> Self {
        Self {
            sockets: Vec::new(),
            kept,
        }
    }

    /// The one socket of another listener than the proxy's, under its key and place.
    pub fn other(&mut self, key: &str, place: &str) -> Option<TcpListener> {
        self.kept_as(&kept_name(key, place)).pop().map(TcpListener::from)
    }

    /// The files of Unix sockets that the process before listens on and this one does not.
    pub fn forsake(self) -> Forsaken {
        let places = self.kept.iter().filter_map(|kept| kept.name.split_once(' '));
        let places = places.filter_map(|(_, place)| place.parse().ok());
        let files = places.filter_map(|place| match place {
            Listen::Unix(path) => SocketFile::of(&path, true).ok(),
            Listen::Tcp(_) | Listen::Systemd(_) => None,
        });
        Forsaken(files.collect())
    }

    fn named(&mut self, name: &str) -> Vec<TcpListener> {
        let found = self.sockets.extract_if(.., |(has, _)| has == name);
        found.map(|(_, listener)| listener).collect()
    }

    fn kept_as(&mut self, name: &str) -> Vec<OwnedFd> {
        let found = self.kept.extract_if(.., |kept| kept.name == name);
        found.map(|kept| kept.socket).collect()
    }
}

/// Files of sockets that nobody listens on once this process serves. Until then they are those of the process before.
#[derive(Debug)]
pub struct Forsaken(Vec<SocketFile>);

impl Forsaken {
    /// This process serves: they go, unless somebody else has put others there.
    pub fn remove(self) {
        for file in self.0 {
            file.left.store(false, Ordering::Release);
        }
    }
}

/// The same socket of another listener than the proxy's, kept for another process under its key and place.
///
/// # Errors
/// Those of the system.
pub fn keep(key: &str, place: &str, socket: impl AsFd) -> io::Result<Kept> {
    Ok(Kept::new(kept_name(key, place), socket.as_fd().try_clone_to_owned()?))
}

impl Drop for Given {
    fn drop(&mut self) {
        for (name, _) in &self.sockets {
            tracing::warn!(name, "a socket was handed over that the configuration does not name");
        }
        for kept in &self.kept {
            tracing::info!(name = kept.name, "a socket is not listened on any more");
        }
    }
}

/// Listens on every place under this key of the configuration, or says which one cannot be had.
///
/// # Errors
/// Names the place and the reason, and what to change.
pub fn bind(key: &'static str, places: &[Listen], given: &mut Given) -> Result<Vec<Bound>, Fault> {
    let mut bound: Vec<Bound> = Vec::with_capacity(places.len());
    for place in places {
        match had(key, place, given) {
            Ok(sockets) => bound.extend(sockets.into_iter().map(|socket| Bound {
                name: place.to_string(),
                key,
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

fn had(key: &str, place: &Listen, given: &mut Given) -> io::Result<Vec<ListeningSocket>> {
    let kept = given.kept_as(&kept_name(key, &place.to_string()));
    if !kept.is_empty() {
        return kept.into_iter().map(|socket| taken_over(place, socket)).collect();
    }
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

/// A socket that another process listens on, and goes on with unless this one comes to serve: until then, its file is that
/// one's, see [`Kept::own`].
fn taken_over(place: &Listen, socket: OwnedFd) -> io::Result<ListeningSocket> {
    Ok(match place {
        Listen::Unix(path) => ListeningSocket::Unix(socket.into(), SocketFile::of(path, true)?),
        Listen::Tcp(_) | Listen::Systemd(_) => ListeningSocket::Tcp(socket.into()),
    })
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
    fs::rename(&draft, path)?;
    Ok((listener, SocketFile::of(path, false)?))
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
        Given::default()
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
    fn a_socket_that_was_kept_is_listened_on_under_its_key_and_place_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.sock");
        let places = [Listen::Tcp("127.0.0.1:0".parse().unwrap()), Listen::Unix(path.clone())];
        let first = bind("server.listen", &places, &mut none()).unwrap();
        let keep = || Given::kept(first.iter().map(|bound| bound.keep().unwrap()).collect());
        let mut given = keep();
        let elsewhere = bind("server.redirect_listen", &places[..1], &mut given).unwrap();
        assert_ne!(elsewhere[0].place(), first[0].place());
        let second = bind("server.listen", &places, &mut given).unwrap();
        assert_eq!(second[0].place(), first[0].place());
        let kept = |bound: &[Bound]| bound.iter().map(|bound| bound.keep().unwrap()).collect::<Vec<_>>();
        kept(&second).iter().for_each(Kept::own);
        kept(&first).into_iter().for_each(Kept::leave);
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert!(!path.exists(), "it goes with the last who listens");
    }

    #[test]
    fn a_process_that_never_came_to_listen_leaves_the_socket_to_the_one_that_does() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.sock");
        let places = [Listen::Unix(path.clone())];
        let first = bind("server.listen", &places, &mut none()).unwrap();
        let mut given = Given::kept(first.iter().map(|bound| bound.keep().unwrap()).collect());
        drop(bind("server.listen", &places, &mut given).unwrap());
        UnixStream::connect(&path).unwrap();
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_the_new_process_does_not_listen_on_goes_once_it_serves() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("web.sock");
        let first = bind("server.listen", &[Listen::Unix(path.clone())], &mut none()).unwrap();
        let given = || Given::kept(first.iter().map(|bound| bound.keep().unwrap()).collect());
        drop(given().forsake());
        UnixStream::connect(&path).unwrap();
        let mut taken = given();
        let second = bind("server.listen", &[Listen::Unix(path.clone())], &mut taken).unwrap();
        taken.forsake().remove();
        UnixStream::connect(&path).unwrap();
        drop(second);
        let (forsaken, again) = (given().forsake(), given().forsake());
        forsaken.remove();
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        again.remove();
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
