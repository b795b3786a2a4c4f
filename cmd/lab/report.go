package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/correlate"
	"lab/internal/report/page"
	"lab/store"
)

type reportOptions struct {
	out  string
	lang string
}

func newReport() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report ID",
		Short: "Write a run or an A/B as one HTML page that needs no network",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.lang != "en" && o.lang != "zh" {
				return &usageError{fmt.Errorf("lab report: --lang is %q; it is en or zh", o.lang)}
			}
			return writeReport(cmd, args[0], o)
		},
	}
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "`FILE` to write (default report-ID.html); - is stdout")
	cmd.Flags().StringVar(&o.lang, "lang", "en", "language of the page: en or zh")
	return cmd
}

func writeReport(cmd *cobra.Command, ref string, o reportOptions) error {
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	id, document, err := reportOn(db, ref, o)
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err := document.WriteHTML(&html); err != nil {
		return err
	}
	if o.out == "-" {
		_, err := cmd.OutOrStdout().Write(html.Bytes())
		return err
	}
	if o.out == "" {
		o.out = "report-" + id + ".html"
	}
	if err := save(o.out, html.Bytes()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), o.out)
	return err
}

// reportOn makes the page of a run or of an A/B, whichever the reference means.
func reportOn(db *store.DB, ref string, o reportOptions) (string, page.Document, error) {
	id, err := db.Resolve(ref)
	var unknown *store.RefError
	if errors.As(err, &unknown) {
		return "", page.Document{}, err
	}
	if err != nil {
		return "", page.Document{}, err
	}
	document, err := reportOnRun(db, id, o)
	return id, document, err
}

func reportOnRun(db *store.DB, id string, o reportOptions) (page.Document, error) {
	sealed, err := readRun(db, id)
	if err != nil {
		return page.Document{}, err
	}
	tables, err := db.Tables(id)
	if err != nil {
		return page.Document{}, err
	}
	return page.Run(page.RunView{Lang: o.lang, Lab: version(), Sealed: sealed, Tables: tables,
		Hardware: correlate.Explain(sealed.Run, tables), Timeline: correlate.Over(sealed.Run, tables)}), nil
}
