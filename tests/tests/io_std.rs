//! stdin, stdout and stderr of a process, and the re-exported I/O utilities on our streams.

use std::io::Write;

use runtime::io::{self, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use runtime::net::UnixStream;
use runtime_tests::{child, on_current_thread, on_each, on_multi_thread};

#[test]
fn lines_go_in_and_out() {
    let body = || {
        on_multi_thread(async {
            let mut lines = BufReader::new(io::stdin()).lines();
            let mut stdout = io::stdout();
            // The harness has written to the same line already.
            stdout.write_all(b"\n").await.unwrap();
            while let Some(line) = lines.next_line().await.unwrap() {
                let answer = format!("heard {line}\n");
                stdout.write_all(answer.as_bytes()).await.unwrap();
                stdout.flush().await.unwrap();
            }
            let mut stderr = io::stderr();
            stderr.write_all(b"over and out").await.unwrap();
            stderr.flush().await.unwrap();
        });
    };
    if let Some(mut child) = child::start("lines_go_in_and_out", body) {
        for word in ["one", "two", "three"] {
            writeln!(child.input(), "{word}").unwrap();
            child.wait_for(&format!("heard {word}"));
        }
        child.close_input();
        assert!(child.succeeds().contains("over and out"));
    }
}

#[test]
fn much_output_arrives_whole() {
    let body = || {
        on_current_thread(async {
            let mut stdout = io::stdout();
            stdout.write_all(b"\n").await.unwrap();
            for number in 0..2_000 {
                let line = format!("{number:0>100}\n");
                stdout.write_all(line.as_bytes()).await.unwrap();
            }
            stdout.flush().await.unwrap();
        });
    };
    if let Some(mut child) = child::start("much_output_arrives_whole", body) {
        for number in 0..2_000 {
            child.wait_for(&format!("{number:0>100}"));
        }
        child.succeeds();
    }
}

#[test]
fn a_runtime_may_end_while_a_read_of_stdin_waits() {
    let body = || {
        let runtime = runtime_tests::multi_thread(1);
        runtime.spawn(async { io::stdin().read(&mut [0; 8]).await });
        runtime.block_on(runtime::task::yield_now());
        child::say("ending");
        // A blocking read cannot be interrupted, but need not be waited for.
        runtime.shutdown_background();
        std::process::exit(0);
    };
    if let Some(mut child) = child::start("a_runtime_may_end_while_a_read_of_stdin_waits", body) {
        child.wait_for("ending");
        assert_eq!(child.ended_by(), None);
    }
}

#[test]
fn copies_between_streams_and_buffers() {
    on_each(|| async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (mut third, mut fourth) = UnixStream::pair().unwrap();
        let copying = runtime::spawn(async move {
            io::copy_bidirectional(&mut other, &mut third)
                .await
                .unwrap()
        });
        one.write_all(b"to the far end").await.unwrap();
        let mut far = [0; 14];
        fourth.read_exact(&mut far).await.unwrap();
        assert_eq!(&far, b"to the far end");
        fourth.write_all(b"back").await.unwrap();
        drop(fourth);
        let mut back = String::new();
        one.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "back");
        drop(one);
        assert_eq!(copying.await.unwrap(), (14, 4));
    });
}

#[test]
fn utilities_for_traits_work_on_streams() {
    on_each(|| async {
        let (one, other) = UnixStream::pair().unwrap();
        let (reads, mut writes) = io::split(one);
        let mut other = BufReader::new(other);
        writes.write_u32(0xfeed).await.unwrap();
        writes.write_all(b"line\nrest").await.unwrap();
        assert_eq!(other.read_u32().await.unwrap(), 0xfeed);
        let mut line = String::new();
        other.read_line(&mut line).await.unwrap();
        assert_eq!(line, "line\n");
        let mut rest = [0; 4];
        other.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"rest");
        drop(reads.unsplit(writes));
        assert_eq!(other.read(&mut rest).await.unwrap(), 0);
    });
}
