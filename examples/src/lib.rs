//! What the server examples share: where to listen, read from the command line, and a clear
//! answer when that is not possible. Everything else is in the examples themselves.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use runtime::net::TcpListener;

/// Reads `[ADDR] [PORT]` from `args` and leaves what follows to the caller.
///
/// A missing address is 127.0.0.1, a missing port `default_port`; a lone number is a port. Port 0
/// lets the OS choose a free one.
///
/// # Errors
///
/// A sentence for the user, if a word is neither.
pub fn listen_address(
    args: &mut impl Iterator<Item = String>,
    default_port: u16,
) -> Result<SocketAddr, String> {
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    let Some(first) = args.next() else {
        return Ok(SocketAddr::new(local, default_port));
    };
    if first.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SocketAddr::new(local, parse_port(&first)?));
    }
    let addr = match first.as_str() {
        "localhost" => local,
        word => word
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| format!("\"{word}\" is not an IP address, such as 127.0.0.1 or ::1"))?,
    };
    let port = match args.next() {
        Some(word) => parse_port(&word)?,
        None => default_port,
    };
    Ok(SocketAddr::new(addr, port))
}

fn parse_port(word: &str) -> Result<u16, String> {
    word.parse()
        .map_err(|_| format!("\"{word}\" is not a port number (0 to 65535)"))
}

/// Listens on `addr`, or ends the program with a sentence that says why that is impossible.
pub async fn listen_or_exit(addr: SocketAddr) -> TcpListener {
    match TcpListener::bind(addr).await {
        Ok(listener) => listener,
        Err(error) => exit(explain_bind_error(addr, &error)),
    }
}

/// Says in one sentence why listening on `addr` failed, and what to do.
pub fn explain_bind_error(addr: SocketAddr, error: &io::Error) -> String {
    let (ip, port) = (addr.ip(), addr.port());
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} on {ip} is taken: stop the program that uses it, or choose another port"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{ip} is not an address of this machine: try 127.0.0.1, or 0.0.0.0 for all")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not allowed to listen on port {port}: choose one above 1023")
        }
        _ => format!("cannot listen on {addr}: {error}"),
    }
}

/// Prints `problem` on standard error and ends the program with status 1.
pub fn exit(problem: impl Display) -> ! {
    eprintln!("error: {problem}");
    std::process::exit(1)
}

/// Prints `problem` and `usage` on standard error and ends the program with status 2.
pub fn exit_with_usage(problem: impl Display, usage: &str) -> ! {
    eprintln!("error: {problem}\n\n{usage}");
    std::process::exit(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<String, String> {
        let mut args = words.split_whitespace().map(String::from);
        listen_address(&mut args, 8080).map(|addr| addr.to_string())
    }

    #[test]
    fn addresses_and_ports_have_defaults() {
        for (words, expected) in [
            ("", "127.0.0.1:8080"),
            ("9000", "127.0.0.1:9000"),
            ("0.0.0.0", "0.0.0.0:8080"),
            ("localhost 81", "127.0.0.1:81"),
            ("::1 81", "[::1]:81"),
            ("[::1] 81", "[::1]:81"),
        ] {
            assert_eq!(read(words).as_deref(), Ok(expected), "for \"{words}\"");
        }
    }

    #[test]
    fn bad_words_are_named() {
        for (words, named) in [("70000", "70000"), ("here", "here"), ("::1 -1", "-1")] {
            let problem = read(words).expect_err(words);
            assert!(problem.contains(named), "{problem}");
        }
    }

    #[test]
    fn what_follows_is_left_to_the_caller() {
        let mut args = ["::1", "81", "--more"].map(String::from).into_iter();
        listen_address(&mut args, 1).expect("a good address");
        assert_eq!(args.next().as_deref(), Some("--more"));
    }
}
