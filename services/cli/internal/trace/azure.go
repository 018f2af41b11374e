package trace

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

const azureTime = "2006-01-02 15:04:05.9999999"

// azureHeader are the columns, in their order.
func azureHeader() []string { return []string{"TIMESTAMP", "ContextTokens", "GeneratedTokens"} }

// readAzure reads the CSV of an Azure LLM inference trace. A file without the header is not one.
func readAzure(r io.Reader, emit func(Call) error) error {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = len(azureHeader())
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil || !slices.Equal(header, azureHeader()) {
		return fmt.Errorf("the first line is not the header %v: is this an azure trace?", azureHeader())
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := rows.FieldPos(0)
		call, err := azureCall(row)
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if err := emit(call); err != nil {
			return err
		}
	}
}

func azureCall(row []string) (Call, error) {
	at, err := time.Parse(azureTime, row[0])
	if err != nil {
		return Call{}, fmt.Errorf("TIMESTAMP %q is not like %q", row[0], azureTime)
	}
	input, err := azureTokens("ContextTokens", row[1])
	if err != nil {
		return Call{}, err
	}
	output, err := azureTokens("GeneratedTokens", row[2])
	if err != nil {
		return Call{}, err
	}
	return Call{At: at, Tokens: quota.Tokens{Input: input, Output: output}}, nil
}

func azureTokens(column, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a whole number", column, text)
	}
	return n, checkTokens(column, n)
}
