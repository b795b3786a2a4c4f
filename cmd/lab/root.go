package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lab/internal/report"
	"lab/store"
)

// newRoot lists the commands and nothing more.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "Honest performance experiments on vLLM",
		Long: `lab starts vLLM servers as your files say, loads them, samples the hardware beside the load,
keeps everything, and answers which of two configurations is better with a verdict that survives
a second look.

  lab demo                  an A/B of two simulated servers: no GPU, no Python, under a minute
  lab init && lab run lab.yaml
  lab ab a.yaml b.yaml      which is better?`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       version(),
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SetVersionTemplate("lab {{.Version}}\n")
	root.PersistentFlags().String("dir", "", "folder of the records (default $LAB_DIR, else $XDG_DATA_HOME/lab)")

	group := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("start", "Start:", newDemo(), newDoctor(), newInit())
	group("measure", "Measure:", newRun(), newBench(), newAB(), newSweep())
	group("judge", "Judge:", newCompare(), newBaseline(), newCalibrate(), newSelftest())
	group("look", "Look:", newList(), newShow(), newUI(), newProfile(), newVisualize(), newReport())
	group("data", "Data:", newAggregate(), newExport(), newImport(), newRm())
	group("server", "Server:", newServe(), newGC(), newSim())
	root.AddCommand(newSampler(), newExitCodes(), newVerdictWords())
	for _, c := range append(root.Commands(), root) {
		checkArgs(c)
	}
	refuseUnknownTopics(root)
	return root
}

// refuseUnknownTopics makes `lab help` of something that is not there a usage error, where cobra would show its own help.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Args = func(_ *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return &usageError{fmt.Errorf("lab help: there is no command or topic %q", strings.Join(args, " "))}
				}
				return nil
			}
		}
	}
}

// checkArgs makes a wrong number of arguments a usage error like any other.
func checkArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%s: %w", cmd.CommandPath(), err)}
		}
		return nil
	}
}

// version is the module's version where it was installed by one, else the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "devel"
}

// dataDir is where the records are.
func dataDir(cmd *cobra.Command) (string, error) {
	if dir, _ := cmd.Flags().GetString("dir"); dir != "" {
		return filepath.Abs(dir)
	}
	return store.DefaultDir(os.Getenv)
}

func openStore(cmd *cobra.Command) (*store.DB, error) {
	dir, err := dataDir(cmd)
	if err != nil {
		return nil, err
	}
	return store.Open(dir)
}

// cacheDir is where what can be asked again is kept.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(dir, "lab"), nil
}

// columns is the width of the terminal behind a stream; 0 where there is none.
func columns(stream any) int {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80
	}
	return width
}

// look says how results are printed: for a terminal with colour, unless NO_COLOR or TERM=dumb says otherwise.
func look(cmd *cobra.Command) report.Options {
	width := columns(cmd.OutOrStdout())
	color := width > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if width == 0 {
		width = 100
	}
	return report.Options{Width: width, Color: color, ASCII: !utf8Locale(os.Getenv)}
}

// utf8Locale says whether the user's locale writes UTF-8, by the first of its variables that is set.
func utf8Locale(getenv func(string) string) bool {
	locale := strings.ToLower(cmp.Or(getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG")))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
}
