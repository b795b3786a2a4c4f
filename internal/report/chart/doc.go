// Package chart draws figures: plain values in, one SVG or one PNG of the same picture out. It knows no metric and no
// language; the caller brings every word.
package chart
