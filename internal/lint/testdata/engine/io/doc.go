// Package io is an example for the house rules.
package io
