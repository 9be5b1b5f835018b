//! Other people's programs, and examples, as processes that end with the test.

use crate::PATIENCE;
use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

/// Starts a program that knows nothing of us, waits for its own standard input to close, and then kills it: it
/// ends with us, however we end.
const LEASH: &str = r#""$@" </dev/null & child=$!
exec >/dev/null 2>&1
cat; kill -9 $child; wait $child"#;

/// A running program, whose output is read line by line.
#[derive(Debug)]
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: UnboundedReceiver<String>,
    name: String,
    /// Whether the child is what kills the program, and must not be killed before.
    on_leash: bool,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.input = None;
        if !self.on_leash {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts a program that reads nothing: a server.
    ///
    /// # Panics
    /// When there is no shell.
    pub fn serve(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "leash"]).arg(program.as_ref());
        let mut server = Self::spawn(command, program.as_ref(), arguments, variables);
        server.on_leash = true;
        server
    }

    /// Starts a program that reads lines, and ends when there are no more.
    ///
    /// # Panics
    /// When there is no such program.
    pub fn converse(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        variables: &[(&str, &str)],
    ) -> Self {
        Self::spawn(Command::new(program.as_ref()), program.as_ref(), arguments, variables)
    }

    fn spawn(
        mut command: Command,
        program: &OsStr,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        variables: &[(&str, &str)],
    ) -> Self {
        let name = program.to_string_lossy().into_owned();
        command.args(arguments.into_iter().map(Into::into)).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let (sender, output) = unbounded_channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("it is a pipe")),
            Box::new(child.stderr.take().expect("it is a pipe")),
        ];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                let lines = BufReader::new(stream).lines().map_while(Result::ok);
                lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
            });
        }
        Self { input: child.stdin.take(), child, output, name, on_leash: false }
    }

    /// Reads on until a line yields something.
    ///
    /// # Panics
    /// With all that was read, when the program ends or falls silent before.
    pub async fn read_until<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let mut read = String::new();
        loop {
            match timeout(PATIENCE, self.output.recv()).await {
                Ok(Some(line)) => match wanted(&line) {
                    Some(found) => return found,
                    None => read += &(line + "\n"),
                },
                Ok(None) => panic!("{} has ended after:\n{read}", self.name),
                Err(_) => panic!("{} has fallen silent after:\n{read}", self.name),
            }
        }
    }

    /// The memory that a server holds, in bytes.
    ///
    /// # Panics
    /// When it has ended.
    pub fn resident_bytes(&self) -> u64 {
        let leash = self.child.id();
        let children = fs::read_to_string(format!("/proc/{leash}/task/{leash}/children"));
        let children = children.expect("the leash is held");
        let sizes = children.split_whitespace().filter_map(|child| {
            let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        // The other child is what holds the leash, and smaller than anything that serves.
        sizes.max().expect("the program runs") * 1024
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// When it has ended.
    pub fn write_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the program reads");
    }
}
