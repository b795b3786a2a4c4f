// Package live shows something that runs, on the terminal it was started from: a few lines that are redrawn in place, or
// plain lines where there is no terminal. It only looks: what is shown comes as plain values, and neither a slow terminal
// nor a stopped one holds up whoever feeds it.
package live
